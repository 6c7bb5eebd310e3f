"""Batches of the evaluation data in the form that converted models take: fixed shapes and element types."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.batching import gather

Batch = list[np.ndarray]


def first_batches(dataset: paddle.io.Dataset, inputs: Sequence[InputSpec], count: int = 4) -> list[Batch]:
    """Return up to ``count`` batches of a data set of (input..., label), spread evenly over it.

    Raises InvalidInput (DATASET_INVALID) if its items do not have the declared shapes.
    """
    size = inputs[0].shape[0]
    starts = np.unique(np.linspace(0, max(len(dataset) - size, 0), count).astype(int))
    return [fit(gather(dataset, (np.arange(s, s + size) % len(dataset)))[:-1], inputs) for s in starts]


def fit(arrays: Sequence[np.ndarray], inputs: Sequence[InputSpec]) -> Batch:
    """Return arrays in the declared element types; raises InvalidInput if they are of other shapes."""
    got, declared = [list(a.shape) for a in arrays], [list(i.shape) for i in inputs]
    if got != declared:
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"spec.model.inputs: declared shapes are {declared}, spec.data.factory's items give {got}",
        )
    return [np.ascontiguousarray(a, dtype=i.dtype.value) for a, i in zip(arrays, inputs, strict=True)]
