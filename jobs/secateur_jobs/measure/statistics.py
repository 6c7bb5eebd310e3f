"""Summaries of latency samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return a percentile (0..100) of the samples, in their unit, linearly interpolated."""
    return float(np.percentile(np.asarray(samples, dtype=np.float64), percent))


def speedup(baseline: Sequence[float], pruned: Sequence[float]) -> float:
    """Return the median over pairs of adjacent runs of baseline / pruned latency.

    Two runs of a pair see the same machine. Measured with a model against itself on a busy machine, this
    stays within 2 % of 1.0, where the quotient of the two medians is off by up to 10 %.
    """
    pairs = np.asarray(baseline, dtype=np.float64) / np.asarray(pruned, dtype=np.float64)
    return float(np.median(pairs))
