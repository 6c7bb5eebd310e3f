"""One ratio for all groups, as far as caps and alignment let each follow."""

from __future__ import annotations

from secateur_jobs.pruning.allocation.moves import give_back
from secateur_jobs.pruning.allocation.problem import Positions, Problem
from secateur_jobs.pruning.allocation.sweep import sweep


def solve(problem: Problem) -> Positions:
    """Return the plan of the least common ratio that holds all budgets, or the nearest where none does.

    A group's ratio is rounded down to an aligned width. Of the groups that move at the last ratio, those that
    need not are left a step wider.
    """
    before, after = sweep(problem, 1 - problem.kept)
    return give_back(problem, after, only=after > before)
