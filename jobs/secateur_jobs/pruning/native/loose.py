"""Parameters that forward uses itself, outside any layer that a probe knows: layer scale, place embeddings.

Each axis is probed like a producer: the input channels that change with one of its positions go with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.pruning.native.leaves import Kind, Leaf, find_leaves

_WIDEST = 8192
"""Longer axes are no axes of channels."""


@dataclass(frozen=True, eq=False)
class LooseAxis(Leaf):
    """One axis of a parameter or buffer of a layer that is no leaf."""

    parameter: str
    axis: int

    @property
    def tensor(self) -> paddle.Tensor:
        """The parameter or buffer."""
        return getattr(self.layer, self.parameter)

    @property
    def out_width(self) -> int:
        """Length of the axis."""
        return int(self.tensor.shape[self.axis])

    def channel_axis(self, ndim: int) -> int:
        """Return the axis."""
        return self.axis


def _axes(layer: paddle.nn.Layer, name: str) -> list[LooseAxis]:
    """Return the axes of the layer's own floating-point tensors, sublayers' not included."""
    tensors = {**layer._parameters, **layer._buffers}
    return [
        LooseAxis(name, layer, Kind.LOOSE, parameter, axis)
        for parameter, tensor in tensors.items()
        if tensor is not None and tensor.is_floating_point()
        for axis, length in enumerate(tensor.shape)
        if 1 < length <= _WIDEST
    ]


def all_leaves(net: paddle.nn.Layer) -> list[Leaf]:
    """Return the leaves of a net, and after them the loose axes."""
    leaves = find_leaves(net)
    inside = {id(layer) for leaf in leaves for layer in leaf.layer.sublayers(include_self=True)}
    loose = [
        axis
        for name, layer in named_layers(net).items()
        if id(layer) not in inside
        for axis in _axes(layer, name)
    ]
    return [*leaves, *loose]


@contextmanager
def buffers_kept(net: paddle.nn.Layer) -> Iterator[None]:
    """After it, all buffers are what they were: a layer of the user's may count or average in training."""
    before = [(buffer, buffer.numpy()) for buffer in net.buffers() if buffer._is_initialized()]
    try:
        yield
    finally:
        for buffer, array in before:
            if not np.array_equal(buffer.numpy(), array, equal_nan=True):
                buffer.set_value(array)


@contextmanager
def values_put(leaves: list[Leaf], values: Mapping[int, paddle.Tensor]) -> Iterator[None]:
    """While it lasts, the tensors of loose axes hold other values: the sum of those given for their axes."""
    totals: dict[int, tuple[paddle.Tensor, paddle.Tensor]] = {}
    for index, value in values.items():
        axis = leaves[index]
        assert isinstance(axis, LooseAxis)
        tensor = axis.tensor
        _, total = totals.get(id(tensor), (tensor, 0))
        totals[id(tensor)] = (tensor, total + value)
    before = [(tensor, tensor.numpy()) for tensor, _ in totals.values()]
    try:
        with paddle.no_grad():
            for tensor, total in totals.values():
                tensor.set_value(total)
        yield
    finally:
        for tensor, array in before:
            tensor.set_value(np.asarray(array))
