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
    """Return the method's plan as a width per group, with ``milp`` up to ``count`` different plans, it first.

    The others are those of the methods that trust the curves less, since these may mislead, and then the next
    best. A plan holds all budgets, or is the nearest where the narrowest widths do not.
    """
    best = METHODS[method](problem)
    plans = [best]
    distance = ceil(_APART * len(problem.names))
    if method is Allocation.MILP and count > 1:
        for other in (uniform.solve, greedy.solve):
            plan = other(problem)
            if all((plan != one).sum() >= distance for one in plans):
                plans.append(plan)
        plans += milp.others(problem, best, max(count - len(plans), 0), distance)
    return [problem.widths(plan) for plan in plans[:count]]
