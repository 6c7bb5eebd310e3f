"""Items with several labels: they travel as one column, a structured array with a field for each.

So whatever gathers, slices or joins labels need not know how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import AGREEMENT, Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput


def pack(labels: Sequence[np.ndarray]) -> np.ndarray:
    """Return one item's labels as a structured scalar, fields ``0``, ``1``, ..."""
    packed = np.zeros((), [(str(index), label.dtype, label.shape) for index, label in enumerate(labels)])
    for index, label in enumerate(labels):
        packed[str(index)] = label
    return packed


def unpack(labels: np.ndarray) -> list[np.ndarray]:
    """Return the labels of a batch, one array each; of plain labels that array alone."""
    if labels.dtype.names is None:
        return [labels]
    return [np.array(labels[name], order="C") for name in labels.dtype.names]


def given_arrays(labels: np.ndarray) -> np.ndarray | list[np.ndarray]:
    """Return what a user's metric is given: the array, or a list of arrays where there are several labels."""
    arrays = unpack(labels)
    return arrays[0] if len(arrays) == 1 else arrays


def given_tensors(labels: np.ndarray) -> paddle.Tensor | list[paddle.Tensor]:
    """Return the same as tensors, for a user's loss."""
    tensors = [paddle.to_tensor(array) for array in unpack(labels)]
    return tensors[0] if len(tensors) == 1 else tensors


def judged_labels(labels: np.ndarray, evaluation: Evaluation) -> np.ndarray:
    """Return the labels that built-in metric and loss compare with: ``evaluation.label``, or the only ones.

    Of ``agreement`` that is the unpruned model's answers as they are (``training.answers``).

    Raises InvalidInput (INVALID_SPEC), listing them, where that says nothing or names none.
    """
    if evaluation.metric == AGREEMENT:
        return labels
    arrays, chosen = unpack(labels), evaluation.label
    if chosen is None and len(arrays) == 1:
        return arrays[0]
    if chosen is not None and chosen < len(arrays):
        return arrays[chosen]
    listed = ", ".join(f"{i} {list(a.shape[1:])} ({a.dtype})" for i, a in enumerate(arrays))
    if chosen is not None:
        problem = f"there is no label {chosen}"
    else:
        problem = "say which one the built-in metric and loss compare with (label: 0), or write your own"
    raise InvalidInput(
        Reason.INVALID_SPEC, f"spec.evaluation.label: each item has {len(arrays)} labels, {listed}; {problem}"
    )
