"""Summaries of latency samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return a percentile (0..100) of the samples, in their unit, linearly interpolated."""
    return float(np.percentile(np.asarray(samples, dtype=np.float64), percent))


def speedup(baseline: Sequence[float], pruned: Sequence[float]) -> float:
    """Return baseline p50 / pruned p50, of samples whose runs were interleaved."""
    return percentile(baseline, 50) / percentile(pruned, 50)
