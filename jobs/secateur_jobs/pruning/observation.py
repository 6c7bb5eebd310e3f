"""What the layers that a cut takes inputs from receive: second moments of their inputs, in one sweep.

The inputs are those of the uncut net. Where a layer normalisation loses channels, the kept ones get other
values after the cut; then the uncut net is run a second time with such layers normalising the kept channels
by themselves, and what a consumer receives in both runs is held side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup, Keep, norms_kept
from secateur_jobs.pruning.layers import channel_axis, named_layers
from secateur_jobs.pruning.masking import other_forwards, over_kept
from secateur_jobs.pruning.readers import readers_of, watched_layers
from secateur_jobs.training.forward import eval_mode, forward

LARGEST_GRAM = 4096
"""Channels beyond which no second moments are taken: their matrix would be more than 128 MiB."""


@dataclass
class Observation:
    """One consumer's inputs over all samples and positions.

    Its channels are the consumer's; where the consumer is ``renormed``, its kept channels as they will be,
    and then, of all its channels, what they were more than that.
    """

    fitted: np.ndarray | None
    """Mean of x x' over the first three quarters of each batch, [channels, channels]; None: not taken."""
    held_out: np.ndarray | None
    """The same over the rest."""


def observe(
    net: paddle.nn.Layer,
    groups: Sequence[ChannelGroup],
    keep: Keep,
    consumers: Sequence[Consumer],
    batches: Sequence[list[np.ndarray]],
) -> dict[str, Observation]:
    """Run ``batches`` (inputs, then labels) in evaluation mode; layers that did not run are left out.

    So are those that ran otherwise the second time.
    """
    renormed = [c for c in consumers if c.renormed]
    sweep = _Sweep()
    with eval_mode(net), paddle.no_grad():
        for batch in batches:
            if renormed:
                with _normalising_kept(net, groups, keep), _watching(renormed, sweep.hold):
                    forward(net, batch[:-1])
            with _watching(consumers, sweep.add):
                forward(net, batch[:-1])
            sweep.end_batch()
    return {name: seen for name, seen in sweep.found.items() if name not in sweep.strays}


class _Sweep:
    """Adds up what consumers receive."""

    def __init__(self) -> None:
        self.found: dict[str, Observation] = {}
        self.strays: set[str] = set()
        """Consumers that are not called equally in both runs, or whose input is changed in place later."""
        self._coming: dict[str, list[tuple[paddle.Tensor, int]]] = {}
        """Inputs as they will be, each with how often it had been changed in place."""

    def hold(self, consumer: Consumer, x: paddle.Tensor) -> None:
        """Take an input as it will be."""
        self._coming.setdefault(consumer.name, []).append((x, x.inplace_version))

    def add(self, consumer: Consumer, x: paddle.Tensor) -> None:
        """Take an input of the uncut net."""
        if consumer.name not in self.found:
            self.found[consumer.name] = _empty(consumer)
        seen = self.found[consumer.name]
        if not consumer.renormed:
            _add(seen, consumer, x, x)
            return
        held = self._coming.get(consumer.name)
        after, version = held.pop(0) if held else (None, 0)
        if after is None or after.inplace_version != version or after.shape != x.shape:
            self.strays.add(consumer.name)
        else:
            _add(seen, consumer, x, after)

    def end_batch(self) -> None:
        """Let go of what is held."""
        self.strays |= {name for name, left in self._coming.items() if left}
        self._coming.clear()


@contextmanager
def _normalising_kept(net: paddle.nn.Layer, groups: Sequence[ChannelGroup], keep: Keep) -> Iterator[None]:
    """While it lasts, layer normalisations give kept channels what they will get, the others what they do."""
    layers = named_layers(net)
    kept = {layers[name]: stays for name, stays in norms_kept(groups, keep).items()}
    with other_forwards({norm: over_kept(norm, stays, norm.forward) for norm, stays in kept.items()}):
        yield


@contextmanager
def _watching(
    consumers: Sequence[Consumer], see: Callable[[Consumer, paddle.Tensor], None]
) -> Iterator[None]:
    """While it lasts, ``see(consumer, input)`` is called before each call of a consumer."""

    def hook(consumer: Consumer) -> Any:
        # called by keyword: not seen
        return lambda layer, inputs: see(consumer, inputs[0]) if inputs else None

    handles = [c.layer.register_forward_pre_hook(hook(c)) for c in consumers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _empty(consumer: Consumer) -> Observation:
    channels = len(consumer.keep) + (int(consumer.keep.sum()) if consumer.renormed else 0)
    square = channels <= LARGEST_GRAM
    fitted, held_out = (np.zeros((channels, channels)) if square else None for _ in range(2))
    return Observation(fitted, held_out)


def _add(seen: Observation, consumer: Consumer, before: paddle.Tensor, after: paddle.Tensor) -> None:
    axis = channel_axis(consumer.layer, before.ndim)
    if seen.fitted is None or seen.held_out is None:
        return
    rows = _rows(before, axis)
    if consumer.renormed:
        kept = paddle.to_tensor(consumer.keep.astype("float32"))
        coming = _rows(after, axis)
        chosen = paddle.to_tensor(np.flatnonzero(consumer.keep))
        rows = paddle.concat([paddle.index_select(coming, chosen, 1), rows - coming * kept], 1)
    first = -(-3 * rows.shape[0] // 4)
    seen.fitted += _gram(rows[:first])
    seen.held_out += _gram(rows[first:])


def _rows(x: paddle.Tensor, axis: int) -> paddle.Tensor:
    """[..., channels, ...] to [samples and positions, channels]."""
    return paddle.moveaxis(x, axis, -1).reshape([-1, x.shape[axis]]) if x.ndim > 2 else x


def _gram(rows: paddle.Tensor) -> np.ndarray:
    if rows.shape[0] == 0:
        return np.zeros((rows.shape[1], rows.shape[1]))
    return paddle.matmul(rows, rows, transpose_x=True).numpy().astype(np.float64)


@dataclass(eq=False)
class Consumer:
    """A layer that reads channels which are removed, of one group or several."""

    name: str
    layer: paddle.nn.Layer
    keep: np.ndarray
    """Whether each of its input channels stays; bool."""
    renormed: bool = False
    """Whether a layer normalisation loses the removed channels, so that the kept ones get other values."""
    weights: list[tuple[str, int]] = field(default_factory=list)
    """(parameter, axis) of the weights that multiply its input, the axis along the input channels."""


def consumers_of(net: paddle.nn.Layer, groups: Sequence[ChannelGroup], keep: Keep) -> list[Consumer]:
    """Return the consumers of the groups that ``keep`` names, in the net's order."""
    layers = watched_layers(net)
    found: dict[str, Consumer] = {}
    for group in groups:
        for reader in readers_of(layers, group)[0] if group.name in keep else []:
            stays = (reader.owner < 0) | keep[group.name][np.maximum(reader.owner, 0)]
            consumer = found.get(reader.layer)
            if consumer is None:
                consumer = found[reader.layer] = Consumer(reader.layer, layers[reader.layer], stays)
            consumer.keep = consumer.keep & stays
            consumer.renormed |= bool(group.norms) and not stays.all()
            if (reader.parameter, reader.axis) not in consumer.weights:
                consumer.weights.append((reader.parameter, reader.axis))
    return [found[name] for name in layers if name in found and not found[name].keep.all()]
