"""The methods that ``pruning.allocation`` names."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from secateur_api.spec import Allocation
from secateur_jobs.pruning.allocation import greedy, milp, threshold, uniform
from secateur_jobs.pruning.allocation.problem import Positions, Problem

METHODS: dict[Allocation, Callable[[Problem], Positions]] = {
    Allocation.MILP: milp.solve,
    Allocation.GREEDY: greedy.solve,
    Allocation.UNIFORM: uniform.solve,
    Allocation.THRESHOLD: threshold.solve,
}
_APART = 1 / 8
"""Share of the groups in which two candidates differ: plans nearer than that are one plan to the net."""


def allocate(problem: Problem, method: Allocation, count: int = 1) -> list[dict[str, int]]:
    """Return the method's plan as a width per group, with ``milp`` up to ``count`` plans, the best first.

    A plan holds all budgets, or is the nearest where the narrowest widths do not.
    """
    best = METHODS[method](problem)
    plans = [best]
    if method is Allocation.MILP and count > 1:
        plans += milp.others(problem, best, count - 1, ceil(_APART * len(problem.names)))
    return [problem.widths(plan) for plan in plans]
