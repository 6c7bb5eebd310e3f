"""One loss for all groups: each is cut to the largest ratio at which its own curve is not above it.

That is PaddleSlim's ``get_ratios_by_sensitivity`` with its bisection over the loss (``sensitive_prune``),
which stops where two thresholds round to the same FLOPs, short of the target or beyond it; here it ends at
the target.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.pruning.allocation.moves import give_back
from secateur_jobs.pruning.allocation.problem import Positions, Problem
from secateur_jobs.pruning.allocation.sweep import sweep


def solve(problem: Problem) -> Positions:
    """Return the plan of the least common loss that holds all budgets, or the nearest where none does.

    Where groups jump at the last threshold, groups are widened again as the budgets allow, the most sensitive
    first.
    """
    curves = np.concatenate([np.empty(0), *(np.array(c.curve) for c in problem.choices)])
    return give_back(problem, sweep(problem, curves)[1])
