"""The methods that ``pruning.allocation`` names."""

from __future__ import annotations

from collections.abc import Callable

from secateur_api.spec import Allocation
from secateur_jobs.pruning.allocation import greedy, milp, uniform
from secateur_jobs.pruning.allocation.problem import Positions, Problem

Method = Callable[[Problem], Positions]
"""Returns a plan that holds all budgets, or the nearest where the narrowest widths do not."""

METHODS: dict[Allocation, Method] = {
    Allocation.MILP: milp.solve,
    Allocation.GREEDY: greedy.solve,
    Allocation.UNIFORM: uniform.solve,
}


def methods_of(allocation: Allocation) -> list[Method]:
    """Return the method that is asked for, and after it those that trust the curves less."""
    return [METHODS[allocation], uniform.solve, greedy.solve]
