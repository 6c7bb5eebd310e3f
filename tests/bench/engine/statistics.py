"""Means, spreads, and paired intervals over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

_RESAMPLES = 10_000


def spread(values: Sequence[float], scale: float = 1.0, digits: int = 1) -> str:
    """Write mean (min..max), or the value alone where there is one."""
    mean, low, high = (f"{v * scale:.{digits}f}" for v in (statistics.mean(values), min(values), max(values)))
    return mean if len(values) == 1 else f"{mean} ({low}..{high})"


def paired_interval(
    first: Sequence[float], second: Sequence[float], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Return the bootstrap interval (percentiles) of the mean of first - second, pair by pair; None of one.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    differences = np.array(first) - np.array(second)
    if len(differences) < 2:
        return None
    random = np.random.default_rng(0)
    means = random.choice(differences, (_RESAMPLES, len(differences))).mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
