"""How much worse a metric is than the baseline's."""

from __future__ import annotations

from secateur_api.spec import Goal


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
