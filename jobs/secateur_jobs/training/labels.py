"""Labels must fit the output that is judged; Paddle would fail late, broadcast, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import AGREEMENT, Evaluation
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.class_axis import UNLABELLED, class_axis, is_map, spread
from secateur_jobs.training.sequences import lengths

_HITS = ("accuracy", "top5_accuracy")
_LINES = ("sequence_accuracy", "edit_similarity")


def judges_classes(evaluation: Evaluation) -> bool:
    """Whether metric or loss say that the judged output holds scores of classes, one label for each row."""
    return evaluation.loss == "cross_entropy" or evaluation.metric in (*_HITS, "miou")


def judges_lines(evaluation: Evaluation) -> bool:
    """Whether the judged output is of lines of text."""
    return evaluation.loss == "ctc" or evaluation.metric in _LINES


def check_labels(
    outputs_shape: Sequence[int],
    labels: np.ndarray,
    evaluation: Evaluation,
    where: str = "spec.data.factory",
) -> None:
    """Check a batch of ``labels`` against the judged output where a built-in loss or metric compares them.

    Classes need outputs with one axis more than the labels (``class_axis``); ``mse`` and ``hmean`` need equal
    shapes, but for axes of length 1. Lines of text (loss ``ctc``) have outputs [batch, steps, classes] and
    labels [batch, longest] that are padded with -1. Raises InvalidInput(DATASET_INVALID) if labels are no
    whole numbers, out of range, of another shape, or too long for the steps; ``where`` names them in the
    message.
    """
    if evaluation.metric == AGREEMENT:
        return
    if judges_lines(evaluation):
        _check_lines(outputs_shape, labels, evaluation, where)
    elif judges_classes(evaluation):
        _check_classes(outputs_shape, labels, evaluation, where)
    if evaluation.metric == "hmean":
        _check_region_map(outputs_shape, labels, where)
    if evaluation.loss == "mse" and spread(outputs_shape) != spread(labels.shape):
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{where}: labels of shape {list(labels.shape)} do not fit outputs of {list(outputs_shape)}; mse "
            "compares number by number, so the shapes must be equal",
        )


def _check_classes(
    outputs_shape: Sequence[int], labels: np.ndarray, evaluation: Evaluation, where: str
) -> None:
    if labels.dtype.kind not in "iu":
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{where}: labels are {labels.dtype}; classes must be whole numbers (int64)",
        )
    classes = outputs_shape[class_axis(outputs_shape, labels.shape, evaluation, where)]
    counted = labels
    if may_be_unlabelled(outputs_shape, classes) and evaluation.metric not in _HITS:
        counted = labels[labels != UNLABELLED]
        if not counted.size:
            return
    low, high = int(counted.min()), int(counted.max())
    if low < 0 or high >= classes:
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{where}: label {low if low < 0 else high} is out of range: the model has {classes} outputs, so "
            f"labels must be 0..{classes - 1}{_unlabelled(outputs_shape, classes, evaluation)}",
        )


def may_be_unlabelled(outputs_shape: Sequence[int], classes: int) -> bool:
    """Whether label 255 says that a pixel has no label: on maps of at most 255 classes."""
    return is_map(outputs_shape) and classes <= UNLABELLED


def _unlabelled(outputs_shape: Sequence[int], classes: int, evaluation: Evaluation) -> str:
    if not may_be_unlabelled(outputs_shape, classes):
        return ""
    if evaluation.metric in _HITS:
        return f"; {evaluation.metric} counts every pixel, miou leaves out those that are {UNLABELLED}"
    return f", or {UNLABELLED} where a pixel has no label"


def _check_region_map(outputs_shape: Sequence[int], labels: np.ndarray, where: str) -> None:
    if len(outputs_shape) != 4 or outputs_shape[1] != 1 or spread(outputs_shape) != spread(labels.shape):
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{where}: labels of shape {list(labels.shape)}, outputs of {list(outputs_shape)}; hmean needs "
            "outputs [batch, 1, H, W] and a label for each of their pixels",
        )


def _check_lines(
    outputs_shape: Sequence[int], labels: np.ndarray, evaluation: Evaluation, where: str
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
