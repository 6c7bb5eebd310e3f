"""Metrics: how good a batch of outputs is, as one number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.user_code import load_callable

Metric = Callable[[np.ndarray, np.ndarray], float]


def metric_function(evaluation: Evaluation) -> Metric:
    """Return the metric that the spec names; it takes (outputs, labels) of the whole set, batch axis first.

    Raises InvalidInput if the user's metric is not found; the metric itself raises InvalidInput if the user's
    code raises or returns no finite number.
    """
    built_in = {"accuracy": accuracy, "top5_accuracy": top5_accuracy}
    if evaluation.metric in built_in:
        return built_in[evaluation.metric]
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


def accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of ``labels`` [N...] that are the largest of ``outputs`` [N..., classes]."""
    return float(np.mean(outputs.argmax(axis=-1) == _classes(outputs, labels)))


def top5_accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of ``labels`` [N...] that are among the 5 largest of ``outputs`` [N..., classes]."""
    best = np.argsort(-outputs, axis=-1, kind="stable")[..., :5]
    return float(np.mean((best == _classes(outputs, labels)[..., None]).any(axis=-1)))


def _classes(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return labels.reshape(outputs.shape[:-1])  # a label column [N, 1] is as good as [N]
