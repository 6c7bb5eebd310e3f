"""Metrics: how good a model is, as one number that follows from what is kept of each sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import AGREEMENT, Evaluation
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.answers import agreement
from secateur_jobs.training.class_axis import class_axis
from secateur_jobs.training.regions import region_counts, region_hmean
from secateur_jobs.training.segmentation import class_counts, mean_iou
from secateur_jobs.training.sequences import edit_similarities, sequence_hits
from secateur_jobs.user_code import load_callable

SampleScores = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Takes (judged output, labels) of some samples and returns what is kept of each: [N] or [N...]."""


@dataclass(frozen=True)
class Metric:
    """A built-in metric: what is kept of each sample, and the number that follows from all of it."""

    of_samples: SampleScores
    value: Callable[[np.ndarray], float]
    is_mean: bool
    """What is kept are scores in 0..1, and the metric is their mean."""


def built_in_metric(evaluation: Evaluation) -> Metric | None:
    """Return the metric that the spec names; None if it is the user's."""

    def of_rows(hits: SampleScores) -> SampleScores:
        return lambda output, labels: hits(*_rows(output, labels, evaluation))

    known: dict[str, Metric] = {
        "accuracy": Metric(of_rows(top1_hits), _mean, is_mean=True),
        "top5_accuracy": Metric(of_rows(top5_hits), _mean, is_mean=True),
        "sequence_accuracy": Metric(sequence_hits, _mean, is_mean=True),
        "edit_similarity": Metric(edit_similarities, _mean, is_mean=True),
        "hmean": Metric(region_counts, region_hmean, is_mean=False),
        "miou": Metric(of_rows(class_counts), mean_iou, is_mean=False),
        AGREEMENT: Metric(lambda o, answers: agreement(o, answers, evaluation), _mean, is_mean=True),
    }
    return known.get(evaluation.metric)


def users_metric(evaluation: Evaluation) -> Callable[[object, object], float]:
    """Return the user's metric; it takes (``Outputs.given``, labels) of the whole set, batch axis first.

    Raises InvalidInput if it is not found; the metric itself raises InvalidInput if the user's code raises or
    returns no finite number.
    """
    function = load_callable(evaluation.metric, "spec.evaluation.metric")

    def checked(outputs: object, labels: object) -> float:
        where = f"spec.evaluation.metric: {evaluation.metric}"
        try:
            value = float(function(outputs, labels))
        except RAISED as error:
            raise InvalidInput(Reason.FACTORY_FAILED, f"{where} raised {raised(error)}") from error
        if not np.isfinite(value):
            raise InvalidInput(Reason.FACTORY_FAILED, f"{where} returned {value}; it must be a finite number")
        return value

    return checked


def check_metric(evaluation: Evaluation) -> None:
    """Raise InvalidInput if the metric that the spec names is not there."""
    if built_in_metric(evaluation) is None:
        users_metric(evaluation)


def sample_scores(evaluation: Evaluation) -> SampleScores | None:
    """Return the scores whose mean over all samples is the metric; None where it is no mean over samples."""
    metric = built_in_metric(evaluation)
    return metric.of_samples if metric is not None and metric.is_mean else None


def top1_hits(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether each of ``labels`` [N...] is the largest of ``outputs`` [N..., classes]; bool [N...]."""
    return np.asarray(outputs.argmax(axis=-1) == labels)


def top5_hits(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether each of ``labels`` [N...] is among the 5 largest of ``outputs`` [N..., classes]."""
    best = np.argsort(-outputs, axis=-1, kind="stable")[..., :5]
    return np.asarray((best == labels[..., None]).any(axis=-1))


def _rows(output: np.ndarray, labels: np.ndarray, evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """Return scores [N..., classes], and labels [N...]: a label column [N, 1] is as good as [N]."""
    rows = np.moveaxis(output, class_axis(output.shape, labels.shape, evaluation), -1)
    return rows, labels.reshape(rows.shape[:-1])


def _mean(scores: np.ndarray) -> float:
    return float(np.mean(scores))
