"""How far a measured drop can be trusted: its 95 % interval, paired over the evaluation samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_Z = 1.959964
_DRAWS = 400


def of_means(baseline: np.ndarray, pruned: np.ndarray, whole: float) -> tuple[float, float]:
    """Return the interval of (mean of ``baseline`` - mean of ``pruned``) / ``whole``.

    Both hold scores in 0..1 of the same samples: [N] or [N...], which count as one sample each. Agresti and
    Min, "Simple improved confidence intervals for comparing matched proportions", 2005: half a pair is added
    to each kind of pair, so that the interval has a width where no sample differs.
    """
    difference = _per_sample(baseline) - _per_sample(pruned)
    count = len(difference) + 2
    mean = float(difference.sum()) / count
    spread = float(np.square(difference).sum() + 1) / count - mean**2
    half = _Z * float(np.sqrt(max(spread, 0.0) / count))
    return (mean - half) / whole, (mean + half) / whole


def of_values(
    baseline: np.ndarray, pruned: np.ndarray, drop: Callable[[np.ndarray, np.ndarray], float]
) -> tuple[float, float]:
    """Return the interval of ``drop`` of what is kept of both models' samples, [N...], by the bootstrap.

    The same samples are drawn of both (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
    section 13.3: percentiles), with a fixed seed.
    """
    random = np.random.default_rng(0)
    drawn = [random.integers(0, len(baseline), len(baseline)) for _ in range(_DRAWS)]
    found = [drop(baseline[chosen], pruned[chosen]) for chosen in drawn]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def _per_sample(scores: np.ndarray) -> np.ndarray:
    return scores.reshape(len(scores), -1).astype(np.float64).mean(axis=1)
