"""Summaries of what was measured: percentiles, speed-up, the drop of a metric and its 95 % interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation, Goal
from secateur_jobs.runtime.errors import InvalidInput


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


def check_drop_is_told(baseline: float, evaluation: Evaluation) -> None:
    """Raise InvalidInput if no drop can be told from the unpruned model's metric, which is 0."""
    if baseline != 0:
        return
    what = f"spec.evaluation: {evaluation.metric} of the unpruned model is 0"
    if evaluation.goal is Goal.MINIMIZE:
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"{what}, the best that it can be, and a drop is a share of it, which 0 has none of; give a "
            "metric that is above 0 at its best (1 + errors), or one that is maximized",
        )
    raise InvalidInput(
        Reason.WEIGHTS_INVALID,
        f"{what}, and nothing can drop from there; look at spec.model.weights, and whether the labels are "
        "those it was trained on",
    )


def relative_drop(baseline: float, metric: float, goal: Goal) -> float:
    """Return how much worse ``metric`` is, as a share of ``baseline``; negative if it is better.

    Of a baseline of zero there is no share: then anything worse counts as a drop of 1, the whole of it.
    """
    worse = baseline - metric if goal is Goal.MAXIMIZE else metric - baseline
    if baseline == 0:
        return 0.0 if worse <= 0 else 1.0
    return worse / abs(baseline)


def worsened(baseline: float, drop: float, goal: Goal) -> float:
    """Return the metric that lies a relative ``drop`` below (``minimize``: above) ``baseline``."""
    return baseline - drop * abs(baseline) if goal is Goal.MAXIMIZE else baseline + drop * abs(baseline)
