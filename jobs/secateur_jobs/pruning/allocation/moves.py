"""Moves from one plan to a better one that holds the same budgets."""

from __future__ import annotations

import numpy as np

from secateur_jobs.pruning.allocation.problem import Positions, Problem

_PASSES = 20
_GAIN = 1e-9


def give_back(problem: Problem, positions: Positions, only: np.ndarray | None = None) -> Positions:
    """Widen by single steps while the budgets hold, the group that gains most first.

    ``only`` (one bool per group) names the groups that may be widened. Ends within one aligned step of a
    budget, or at the widest plan.
    """
    positions = positions.copy()
    while True:
        wider = problem.first + np.maximum(positions - 1, 0)
        free = (positions > 0) & problem.options_fit(positions)[wider]
        if only is not None:
            free &= only
        if not free.any():
            return positions
        gain = problem.losses[problem.first + positions] - problem.losses[wider]
        positions[int(np.argmax(np.where(free, gain, -np.inf)))] -= 1


def exchange(problem: Problem, positions: Positions) -> Positions:
    """Widen one group by a step and narrow another as far as that takes, while the loss falls.

    The groups are tried in turn, until none gains or ``_PASSES`` are over.
    """
    for _ in range(_PASSES):
        before = positions
        for group in range(len(problem.names)):
            if positions[group]:
                positions = _exchanged(problem, positions, group)
        if positions is before:
            break
    return positions


def _exchanged(problem: Problem, positions: Positions, wider: int) -> Positions:
    """Return the plan after the best exchange that widens a group, the same one if no exchange gains."""
    gain, option = _exchange_for(problem, positions, wider)
    if gain <= _GAIN:
        return positions
    positions = positions.copy()
    positions[wider] -= 1
    narrower = problem.group[option]
    positions[narrower] = option - problem.first[narrower]
    return give_back(problem, positions)


def _exchange_for(problem: Problem, positions: Positions, wider: int) -> tuple[float, int]:
    """Return (gain, option of another group that makes up for a step of ``wider``) of the best exchange."""
    moved = positions.copy()
    moved[wider] -= 1
    now = problem.losses[problem.first + positions]
    gain = now[wider] - problem.losses[problem.first[wider] + moved[wider]]
    gains = gain - (problem.losses - now[problem.group])
    usable = problem.options_fit(moved) & (problem.group != wider)
    best = int(np.argmax(np.where(usable, gains, -np.inf)))
    return (float(gains[best]) if usable[best] else 0.0), best
