"""Raise one level for all groups until the budgets hold."""

from __future__ import annotations

import numpy as np

from secateur_jobs.pruning.allocation.problem import Positions, Problem


def sweep(problem: Problem, levels: np.ndarray) -> tuple[Positions, Positions]:
    """Return the plans just below and at the least level at which all budgets hold.

    ``levels`` has one value per option, never falling as a group gets narrower; at a level each group takes
    its narrowest width that is not above it (the widest is always allowed). Where no level holds the
    budgets, both are the plan of the highest.
    """
    steps = np.unique(levels)

    def plan(step: int) -> Positions:
        if step < 0:
            return problem.widest
        allowed = levels <= steps[step]
        return np.maximum(np.bincount(problem.group, allowed, len(problem.names)).astype(int) - 1, 0)

    below, at = -1, len(steps) - 1
    if problem.fits(problem.widest) or not problem.fits(plan(at)):
        end = problem.widest if problem.fits(problem.widest) else plan(at)
        return end, end
    while at - below > 1:
        middle = (below + at) // 2
        below, at = (below, middle) if problem.fits(plan(middle)) else (middle, at)
    return plan(below), plan(at)
