"""What the layers of a net return while it is probed.

Layers with output channels of their own return fixed random values, to which disturbances are added;
normalisations and dropout let everything through; a depthwise convolution averages. So every change at any
place comes from a known source and is never lost in a layer's own arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import Any

import numpy as np

from secateur_jobs.graph.replay import Replay, replaying
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.masking import Forward, other_forwards
from secateur_jobs.pruning.native.leaves import Kind, Leaf
from secateur_jobs.pruning.native.loose import LooseAxis, values_put

nn, F = paddle.nn, paddle.nn.functional
_DROPOUTS = (nn.Dropout, nn.Dropout2D, nn.Dropout3D, nn.AlphaDropout)
_CONVOLVE = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}
Masks = Mapping[int, np.ndarray]
"""Index of a leaf to a bool array of its output channels: which ones are disturbed."""
See = Callable[[int, int, Any], None]
"""Called with (index of the leaf, how often it was called before, its inputs)."""


class Sample(IntEnum):
    """A draw of fixed values. Only positive ones pass a ReLU; the others see what these do not."""

    POSITIVE = 0
    MIXED = 1
    LARGE = 2


@dataclass
class StandIns:
    """The fixed values of one sample, drawn where they are first asked for."""

    leaves: list[Leaf]
    sample: Sample
    replay: Replay | None = None
    """Of a net that works on nothing in place: it may be given the same tensors each time."""
    _drawn: dict[tuple[int, int], _Output] = field(default_factory=dict)

    @contextmanager
    def installed(self, net: paddle.nn.Layer, masks: Masks, see: See) -> Iterator[None]:
        """While it lasts, the layers of ``net`` are stood in for; ``see`` is shown what goes into leaves."""
        calls = [0] * len(self.leaves)
        forwards: dict[paddle.nn.Layer, Forward] = {
            layer: lambda x: x for layer in net.sublayers(include_self=True) if isinstance(layer, _DROPOUTS)
        }
        for index, leaf in enumerate(self.leaves):
            if leaf.kind is not Kind.LOOSE:
                forwards[leaf.layer] = self._stand_in(index, leaf, calls, masks.get(index), see)
        if self.replay is not None:
            disturbed = [self.leaves[index] for index in masks if index >= 0]
            self.replay.changed = {id(leaf.tensor) for leaf in disturbed if isinstance(leaf, LooseAxis)}
        with (
            other_forwards(forwards),
            values_put(self.leaves, self._loose_values(masks)),
            replaying(net, self.replay),
        ):
            yield

    def inputs(self, samples: list[paddle.Tensor], disturbed: bool) -> list[paddle.Tensor]:
        """Return values for the net's inputs; whole numbers (ids) stay what they are."""
        values = []
        for index, given in enumerate(samples):
            if not given.is_floating_point():
                values.append(given)
                continue
            if given.dtype == paddle.float32:  # the proof has the net in float64
                given = given.astype(paddle.get_default_dtype())  # noqa: PLW2901
            output = self._drawn.setdefault((-1, index), _Output.draw(given, self.sample, -1, index))
            values.append(self._values(output, np.ones(1, bool) if disturbed else None, lambda ndim: 0))
        return values

    def _loose_values(self, masks: Masks) -> dict[int, paddle.Tensor]:
        values = {}
        for index, leaf in enumerate(self.leaves):
            if isinstance(leaf, LooseAxis):
                output = self._drawn.get((index, 0)) or _Output.draw(leaf.tensor, self.sample, index, 0)
                self._drawn[(index, 0)] = output
                values[index] = output.values(masks.get(index), leaf.channel_axis)
        return values

    def _stand_in(
        self, index: int, leaf: Leaf, calls: list[int], mask: np.ndarray | None, see: See
    ) -> Callable[..., Any]:
        original = leaf.layer.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            call, calls[index] = calls[index], calls[index] + 1
            given = (*args, *kwargs.values())
            see(index, call, given)
            if leaf.kind is Kind.DEPTHWISE:
                average = partial(_average, leaf)
                if self.replay is None:
                    return average(given[:1])
                return self.replay.run((index, call), average, list(given[:1]))
            if not leaf.stops:
                return given[0]
            output = self._drawn.get((index, call))
            if output is None:
                output = _Output.draw(original(*args, **kwargs), self.sample, index, call)
                self._drawn[(index, call)] = output
            return self._values(output, mask, leaf.channel_axis)

        return forward

    def _values(self, output: _Output, mask: np.ndarray | None, axis_of: Callable[[int], int]) -> Any:
        if mask is None and self.replay is not None:
            return output.undisturbed
        return output.values(mask, axis_of)


@dataclass(frozen=True)
class _Output:
    """The fixed values of one call, in the structure that the layer returns, and how they are disturbed."""

    structure: Any
    base: list[paddle.Tensor]
    change: list[paddle.Tensor]

    @classmethod
    def draw(cls, like: Any, sample: Sample, index: int, call: int) -> _Output:
        random = np.random.default_rng([sample, index + 1, call])
        tensors = paddle.utils.flatten(like)
        drawn = [_draw(random, tensor, sample) for tensor in tensors]
        return cls(like, [base for base, _ in drawn], [change for _, change in drawn])

    @property
    def undisturbed(self) -> Any:
        """The fixed values themselves."""
        return paddle.utils.pack_sequence_as(self.structure, self.base)

    def values(self, mask: np.ndarray | None, axis_of: Callable[[int], int]) -> Any:
        """Return fresh tensors (a net may work in place), the channels of ``mask`` disturbed."""
        if mask is None:
            values = [base.clone() for base in self.base]
        else:
            values = [
                base + change * _along(mask, axis_of(base.ndim), base)
                for base, change in zip(self.base, self.change, strict=True)
            ]
        return paddle.utils.pack_sequence_as(self.structure, values)


def _draw(
    random: np.random.Generator, like: paddle.Tensor, sample: Sample
) -> tuple[paddle.Tensor, paddle.Tensor]:
    shape = tuple(like.shape)
    if sample is Sample.POSITIVE:
        base = 0.05 + 0.45 * random.random(shape, np.float32)
        change = 0.25 + 0.5 * random.random(shape, np.float32)
    else:
        scale = np.float32(20 if sample is Sample.LARGE else 1)
        base = scale * random.standard_normal(shape, np.float32)
        change = scale * random.standard_normal(shape, np.float32)
        change += np.float32(0.3) * scale * np.sign(change)
    return tuple(paddle.to_tensor(array).astype(like.dtype) for array in (base, change))


def _along(mask: np.ndarray, axis: int, like: paddle.Tensor) -> paddle.Tensor:
    """Return the mask as a tensor along one axis; both directions of a recurrent layer share a mask."""
    shape = [1] * like.ndim
    shape[axis] = -1
    repeated = np.tile(mask, like.shape[axis] // len(mask)) if len(mask) > 1 else mask
    return paddle.to_tensor(repeated.astype(np.float32)).reshape(shape).astype(like.dtype)


def _average(leaf: Leaf, given: Sequence[paddle.Tensor]) -> paddle.Tensor:
    """Return what a depthwise convolution with constant weights gives: channels stay apart."""
    layer, x = leaf.layer, given[0]
    kernel = [int(size) for size in layer.weight.shape[2:]]
    if x.ndim == 4 and int(layer.weight.shape[0]) == int(layer._groups) and _pools(layer, kernel):
        # half the time of the convolution
        return F.avg_pool2d(
            x, kernel, layer._stride, layer._padding, exclusive=False, data_format=layer._data_format
        )
    weight = paddle.full(layer.weight.shape, 1.0 / float(np.prod(kernel)), x.dtype)
    convolve = _CONVOLVE[x.ndim]
    return convolve(
        x, weight, None, layer._stride, layer._padding, layer._dilation, layer._groups, layer._data_format
    )


def _pools(layer: paddle.nn.Layer, kernel: list[int]) -> bool:
    padding = [layer._padding] * 2 if isinstance(layer._padding, int) else layer._padding
    if not isinstance(padding, (list, tuple)) or len(padding) != 2:
        return False
    fits = all(isinstance(p, int) and 2 * p <= k for p, k in zip(padding, kernel, strict=True))
    return fits and all(d == 1 for d in layer._dilation)
