"""Class labels must name an output of the network; Paddle would fail late, or not at all."""

from __future__ import annotations

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation
from secateur_jobs.runtime.errors import InvalidInput

_CLASSES = ("accuracy", "top5_accuracy")


def check_labels(
    outputs_shape: tuple[int, ...],
    labels: np.ndarray,
    evaluation: Evaluation,
    where: str = "spec.data.factory",
) -> None:
    """Check a batch of ``labels`` against outputs [batch..., classes] where the loss or metric needs classes.

    Raises InvalidInput(DATASET_INVALID) if they are no whole numbers, out of range or of another shape;
    ``where`` names them in the message.
    """
    if evaluation.loss != "cross_entropy" and evaluation.metric not in _CLASSES:
        return
    if labels.dtype.kind not in "iu":
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{where}: labels are {labels.dtype}; classes must be whole numbers (int64)",
        )
    classes = outputs_shape[-1]
    if labels.size != int(np.prod(outputs_shape[:-1])):
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{where}: labels of shape {list(labels.shape)} do not fit outputs of {list(outputs_shape)}; "
            "there must be one label per output row",
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{where}: label {low if low < 0 else high} is out of range: the model has {classes} outputs, so "
            f"labels must be 0..{classes - 1}",
        )
