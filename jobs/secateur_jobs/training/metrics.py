"""Metrics: how good a batch of outputs is, as one number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.regions import hmean
from secateur_jobs.training.sequences import edit_similarities, sequence_hits
from secateur_jobs.user_code import load_callable

Metric = Callable[[np.ndarray, np.ndarray], float]
SampleScores = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Takes (outputs, labels) of some samples and returns scores in 0..1, [N] or [N...]: several per sample."""


def metric_function(evaluation: Evaluation) -> Metric:
    """Return the metric that the spec names; it takes (outputs, labels) of the whole set, batch axis first.

    Raises InvalidInput if the user's metric is not found; the metric itself raises InvalidInput if the user's
    code raises or returns no finite number.
    """
    scores = sample_scores(evaluation)
    if scores is not None:
        return lambda outputs, labels: float(np.mean(scores(outputs, labels)))
    if evaluation.metric == "hmean":
        return hmean
    function = load_callable(evaluation.metric, "spec.evaluation.metric")

    def checked(outputs: np.ndarray, labels: np.ndarray) -> float:
        where = f"spec.evaluation.metric: {evaluation.metric}"
        try:
            value = float(function(outputs, labels))
        except RAISED as error:
            raise InvalidInput(Reason.FACTORY_FAILED, f"{where} raised {raised(error)}") from error
        if not np.isfinite(value):
            raise InvalidInput(Reason.FACTORY_FAILED, f"{where} returned {value}; it must be a finite number")
        return value

    return checked


def sample_scores(evaluation: Evaluation) -> SampleScores | None:
    """Return the scores whose mean over all samples is the metric; None where it is no mean over samples."""
    built_in: dict[str, SampleScores] = {
        "accuracy": top1_hits,
        "top5_accuracy": top5_hits,
        "sequence_accuracy": sequence_hits,
        "edit_similarity": edit_similarities,
    }
    return built_in.get(evaluation.metric)


def top1_hits(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether each of ``labels`` [N...] is the largest of ``outputs`` [N..., classes]; bool [N...]."""
    return np.asarray(outputs.argmax(axis=-1) == _classes(outputs, labels))


def top5_hits(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether each of ``labels`` [N...] is among the 5 largest of ``outputs`` [N..., classes]."""
    best = np.argsort(-outputs, axis=-1, kind="stable")[..., :5]
    return np.asarray((best == _classes(outputs, labels)[..., None]).any(axis=-1))


def _classes(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return labels.reshape(outputs.shape[:-1])  # a label column [N, 1] is as good as [N]
