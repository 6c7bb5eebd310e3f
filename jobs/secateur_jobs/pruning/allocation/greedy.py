"""Greedy descent along the curves: narrow what saves most per loss, then exchange widths between groups.

The descent goes over the lower convex hulls of the losses, so that a bump in a curve does not stop it.
Unlike a bisection over one loss threshold, it ends within one aligned step of the target.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.pruning.allocation.moves import exchange, give_back
from secateur_jobs.pruning.allocation.problem import Positions, Problem


def solve(problem: Problem) -> Positions:
    """Return a plan that holds all budgets at little predicted loss, or the nearest where none holds them."""
    positions = descend(problem, problem.widest)
    if not problem.fits(positions):
        return positions
    return exchange(problem, give_back(problem, positions))


def descend(problem: Problem, positions: Positions) -> Positions:
    """Narrow by single steps the group that saves most per loss until all budgets hold, or nothing is left.

    What a step saves is counted in the budgets that do not hold yet, each relative to what is missing there.
    """
    hulls = np.concatenate([np.empty(0), *(_lower_hull(c.kept, c.losses) for c in problem.choices)])
    positions = positions.copy()
    while ((excess := problem.excess(positions)) > 0).any():
        kept = problem.kept_of(positions)
        change = problem.kept - kept[problem.group]
        saved = np.zeros(len(problem.kept))
        for budget, missing in zip(problem.budgets, excess, strict=True):
            if missing > 0:
                saved -= problem.change_of(budget, kept, change) / missing
        narrower = problem.first + np.minimum(positions + 1, problem.sizes - 1)
        rise = hulls[narrower] - hulls[problem.first + positions]
        useful = (positions + 1 < problem.sizes) & (saved[narrower] > 0)
        if not useful.any():
            return positions
        price = np.where(useful, rise / np.where(useful, saved[narrower], 1.0), np.inf)
        positions[int(np.argmin(price))] += 1
    return positions


def _lower_hull(kept: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Return the losses on the lower convex hull over the share that is cut."""
    x = 1 - kept
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            if (losses[b] - losses[a]) * (x[i] - x[a]) < (losses[i] - losses[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return np.interp(x, x[hull], losses[hull])
