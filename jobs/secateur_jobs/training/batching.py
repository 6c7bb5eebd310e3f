"""Items of a data set as batches of numpy arrays, checked; ``training.reading`` reads many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from secateur_api.conditions import Reason
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.seeding import generators_kept, seed_everything
from secateur_jobs.training.several_labels import pack, unpack

NO_LABEL = np.zeros(0, np.float32)
"""The label column of an item that has none."""


class ArrayDataset(paddle.io.Dataset):
    """A data set held in memory, one array per column, the label last; batches are taken by indexing."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        if len({len(a) for a in arrays}) != 1:
            raise ValueError(f"columns of different length: {[len(a) for a in arrays]}")
        super().__init__()
        self.arrays = list(arrays)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return tuple(a[index] for a in self.arrays)

    def __len__(self) -> int:
        return len(self.arrays[0])


class Part(paddle.io.Dataset):
    """Some items of a data set, which messages name by their numbers there."""

    def __init__(self, dataset: paddle.io.Dataset, indices: np.ndarray) -> None:
        super().__init__()
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return read_item(self.dataset, int(self.indices[index]))

    def __len__(self) -> int:
        return len(self.indices)


class Wrapped(paddle.io.Dataset):
    """A user's data set read in another way; messages name the user's."""

    def __init__(self, dataset: paddle.io.Dataset) -> None:
        super().__init__()
        self.dataset = dataset

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)


class Steady(Wrapped):
    """A data set that gives the same item at each read, also if it draws from the global generators."""

    def __getitem__(self, index: int) -> Any:
        with generators_kept():
            seed_everything(index % 2**31)
            return self.dataset[index]


def gather(dataset: paddle.io.Dataset, indices: Sequence[int] | np.ndarray) -> list[np.ndarray]:
    """Collate the items at ``indices``: one array per column, batch axis first, the label column last.

    Every call reads the items anew, so a data set that augments in ``__getitem__`` stays fresh.
    Raises InvalidInput(DATASET_INVALID) naming the first item that raises, does not fit the others, or holds
    a value that is not finite: Paddle's ReLU makes 0 of NaN, so that the loss would not show it.
    """
    if isinstance(dataset, Part):
        return gather(dataset.dataset, dataset.indices[np.asarray(indices)])
    columns = _columns(dataset, indices)
    for column in (part for one in columns for part in unpack(one)):
        finite = np.isfinite(column) if column.dtype.kind == "f" else np.True_
        if not finite.all():
            index = indices[np.flatnonzero(~finite.reshape(len(column), -1).all(axis=1))[0]]
            raise InvalidInput(
                Reason.DATASET_INVALID,
                f"spec.data.factory: {_name(dataset)}: item {index} holds values that are not finite",
            )
    return columns


def _columns(dataset: paddle.io.Dataset, indices: Sequence[int] | np.ndarray) -> list[np.ndarray]:
    if isinstance(dataset, ArrayDataset):
        return [a[np.asarray(indices)] for a in dataset.arrays]
    items = [read_item(dataset, int(index)) for index in indices]
    for index, item in zip(indices, items, strict=True):
        shapes, first = _shapes(item), _shapes(items[0])
        if shapes != first:
            raise InvalidInput(
                Reason.DATASET_INVALID,
                f"spec.data.factory: {_name(dataset)}: item {index} has shapes {shapes}, item "
                f"{indices[0]} has {first}; all items must have the same",
            )
    return [np.stack(column) for column in zip(*items, strict=True)]


def read_item(dataset: paddle.io.Dataset, index: int) -> tuple[np.ndarray, ...]:
    """Return one item as arrays, ``(input..., label)``; raises InvalidInput(DATASET_INVALID)."""
    if isinstance(dataset, Part):
        return dataset[index]
    where, item = f"spec.data.factory: {_name(dataset)}: item {index}", _given(dataset, index)
    if not isinstance(item, (tuple, list)) or len(item) < 2:
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"{where} is a {type(item).__name__}; it must be a tuple (input..., label); without "
            "labels set spec.evaluation.metric: agreement",
        )
    columns = tuple(_array(value) for value in item)
    if any(column.dtype == object for column in columns):
        raise InvalidInput(Reason.DATASET_INVALID, f"{where} holds something that is no array of numbers")
    return columns


def _given(dataset: paddle.io.Dataset, index: int) -> Any:
    """Return an item as the user's code gives it."""
    try:
        return dataset[index]
    except InvalidInput:
        raise
    except RAISED as error:
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"spec.data.factory: {_name(dataset)}: item {index} raised {raised(error)}",
        ) from error


def columns_of(dataset: paddle.io.Dataset) -> int:
    """Return how many columns the first item has: inputs and labels."""
    if isinstance(dataset, ArrayDataset):
        return len(dataset.arrays)
    item = _given(dataset, 0)
    return len(item) if isinstance(item, (tuple, list)) else 1


def with_one_label_column(
    dataset: paddle.io.Dataset, inputs: int, columns: int | None = None
) -> paddle.io.Dataset:
    """Return a data set whose items have the labels behind ``inputs`` inputs as one column.

    That is itself, where its first item has one label (or too few columns, which the data check refuses).
    ``columns`` are those of its first item, where they are known.
    """
    if (columns_of(dataset) if columns is None else columns) <= inputs + 1:
        return dataset
    if isinstance(dataset, ArrayDataset):
        labels = [pack(item) for item in zip(*dataset.arrays[inputs:], strict=True)]
        return ArrayDataset([*dataset.arrays[:inputs], np.stack(labels)])
    return SeveralLabels(dataset, inputs)


def without_labels(dataset: paddle.io.Dataset, inputs: int) -> paddle.io.Dataset:
    """Return a data set whose items are the first ``inputs`` columns, and no label (:data:`NO_LABEL`)."""
    if isinstance(dataset, ArrayDataset):
        return ArrayDataset([*dataset.arrays[:inputs], np.zeros((len(dataset), 0), np.float32)])
    return Unlabelled(dataset, inputs)


def is_unlabelled(dataset: paddle.io.Dataset) -> bool:
    """Whether it is one of :func:`without_labels`."""
    while isinstance(dataset, Wrapped) and not isinstance(dataset, Unlabelled):
        dataset = dataset.dataset
    has_none = isinstance(dataset, ArrayDataset) and dataset.arrays[-1].shape == (len(dataset), 0)
    return has_none or isinstance(dataset, Unlabelled)


class Unlabelled(Wrapped):
    """A user's data set whose labels, if it has any, are not read."""

    def __init__(self, dataset: paddle.io.Dataset, inputs: int) -> None:
        super().__init__(dataset)
        self._inputs = inputs

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        item = self.dataset[index]
        columns = item if isinstance(item, (tuple, list)) else (item,)
        return (*columns[: self._inputs], NO_LABEL)


class SeveralLabels(Wrapped):
    """A user's data set with its labels as one column, see :func:`several_labels.pack`."""

    def __init__(self, dataset: paddle.io.Dataset, inputs: int) -> None:
        super().__init__(dataset)
        self._inputs = inputs

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        item = read_item(self.dataset, index)
        return (*item[: self._inputs], pack(item[self._inputs :]))


def _name(dataset: paddle.io.Dataset) -> str:
    while isinstance(dataset, Wrapped):
        dataset = dataset.dataset
    return type(dataset).__name__


def _shapes(item: Sequence[np.ndarray]) -> list[tuple[int, ...]]:
    return [part.shape for column in item for part in unpack(column)]


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value.numpy() if isinstance(value, paddle.Tensor) else value)
    return array.astype(np.float32) if array.dtype == np.float64 else array  # Paddle's own default


def spread(length: int, fraction: float) -> np.ndarray:
    """Return the indices of ``fraction`` (0..1] of a data set, evenly spread, at least one."""
    count = max(1, round(length * fraction))
    return np.unique(np.linspace(0, length - 1, count).round().astype(np.int64))


def shuffled(length: int, batch_size: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Return the indices of one shuffled pass in batches of nearly equal size, none above ``batch_size``.

    No item is dropped, and no batch of one is left over, which batch normalisation cannot train on.
    """
    return np.array_split(generator.permutation(length), batch_count(length, batch_size))


def batch_count(length: int, batch_size: int) -> int:
    """Return the number of batches of one pass."""
    return max(1, math.ceil(length / batch_size))
