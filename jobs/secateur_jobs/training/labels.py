"""Labels must name outputs of the network; Paddle would fail late, or not at all."""

from __future__ import annotations

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.sequences import lengths

_CLASSES = ("accuracy", "top5_accuracy")
_LINES = ("sequence_accuracy", "edit_similarity")


def check_labels(
    outputs_shape: tuple[int, ...],
    labels: np.ndarray,
    evaluation: Evaluation,
    where: str = "spec.data.factory",
) -> None:
    """Check a batch of ``labels`` against outputs [batch..., classes] where the loss or metric needs classes.

    Lines of text (loss ``ctc``) have outputs [batch, steps, classes] and labels [batch, longest] that are
    padded with -1. Raises InvalidInput(DATASET_INVALID) if labels are no whole numbers, out of range, of
    another shape, or too long for the steps; ``where`` names them in the message.
    """
    if evaluation.loss == "ctc" or evaluation.metric in _LINES:
        _check_lines(outputs_shape, labels, evaluation, where)
        return
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


def _check_lines(
    outputs_shape: tuple[int, ...], labels: np.ndarray, evaluation: Evaluation, where: str
) -> None:
    if evaluation.loss == "cross_entropy":
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.evaluation.loss: {evaluation.metric} is of lines of text, which cross_entropy cannot "
            "train; use ctc, or a loss of your own",
        )
    if labels.dtype.kind not in "iu" or labels.ndim != 2 or len(outputs_shape) != 3:
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{where}: labels are {labels.dtype} {list(labels.shape)}, outputs {list(outputs_shape)}; lines "
            "of text need labels int64 [batch, longest] and outputs [batch, steps, classes]",
        )
    steps, classes = outputs_shape[1:]
    length = lengths(labels)
    real = np.arange(labels.shape[1]) < length[:, None]
    repeats = (real[:, 1:] & (labels[:, 1:] == labels[:, :-1])).sum(axis=1)
    for row, count, doubled, inside in zip(labels, length, repeats, real, strict=True):
        problem = _problem(row, int(count), int(count + doubled), inside, steps, classes)
        if problem:
            raise InvalidInput(Reason.DATASET_INVALID, f"{where}: label {row.tolist()} {problem}")


def _problem(
    row: np.ndarray, count: int, needed: int, inside: np.ndarray, steps: int, classes: int
) -> str | None:
    if count == 0:
        return "has no class: a line must have a character"
    if not (row[inside] >= 0).all() or not (row[~inside] == -1).all():
        return "is padded within; -1 may only follow the classes"
    if row.max() >= classes or row[inside].min() == 0:
        return f"is out of range: classes are 1..{classes - 1}, 0 is the blank"
    if needed > steps:
        return f"needs {needed} steps (one more between equal neighbours), the model's output has {steps}"
    return None
