"""How much worse a metric is than the baseline's."""

from __future__ import annotations

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation, Goal
from secateur_jobs.runtime.errors import InvalidInput


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
