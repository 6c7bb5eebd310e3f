"""One ratio for all groups, as far as caps and alignment let each follow."""

from __future__ import annotations

import numpy as np

from secateur_jobs.pruning.allocation.moves import give_back
from secateur_jobs.pruning.allocation.problem import Positions, Problem


def solve(problem: Problem) -> Positions:
    """Return the plan of the least common ratio that holds all budgets, or the nearest where none does.

    A group's ratio is rounded down to an aligned width. Of the groups that move at the last ratio, those that
    need not are left a step wider.
    """
    before, after = _around_the_least_ratio(problem)
    return give_back(problem, after, only=after > before)


def _around_the_least_ratio(problem: Problem) -> tuple[Positions, Positions]:
    """Return the plans just below and at the least ratio at which all budgets hold.

    At a ratio each group takes its narrowest width that does not cut more (the widest is always allowed).
    Where no ratio holds the budgets, both are the plan of the largest.
    """
    ratios = 1 - problem.kept
    steps = np.unique(ratios)

    def plan(step: int) -> Positions:
        if step < 0:
            return problem.widest
        allowed = ratios <= steps[step]
        return np.maximum(np.bincount(problem.group, allowed, len(problem.names)).astype(int) - 1, 0)

    below, at = -1, len(steps) - 1
    if problem.fits(problem.widest) or not problem.fits(plan(at)):
        end = problem.widest if problem.fits(problem.widest) else plan(at)
        return end, end
    while at - below > 1:
        middle = (below + at) // 2
        below, at = (below, middle) if problem.fits(plan(middle)) else (middle, at)
    return plan(below), plan(at)
