"""One probing forward after the other: disturb channels of some layers, see which inputs change.

All inputs of all leaves, call by call, lie side by side in one array of *positions*, one for each channel;
the last position stands for the net's outputs. What a layer gets is reduced to one weighted sum per channel
and compared bit by bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from secateur_jobs.graph.network import GraphNetwork
from secateur_jobs.graph.replay import Replay
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.native.leaves import Kind, Leaf
from secateur_jobs.pruning.native.stand_ins import Sample, StandIns

_EVERYTHING = np.ones(1, bool)


class Port(NamedTuple):
    """One thing that goes into a leaf in one call."""

    leaf: int
    call: int
    part: int
    """0: the input; from 1 on: initial states of a recurrent layer."""


class Example(NamedTuple):
    """What the net is run on."""

    inputs: list[paddle.Tensor]
    labels: dict[str, Any]
    """Keyword arguments of ``forward`` in training, for one that asks for labels."""


@dataclass(frozen=True)
class Layout:
    """Which positions belong to which port."""

    ports: dict[Port, slice]
    size: int
    """Number of positions, the one of the outputs included."""

    @property
    def output(self) -> int:
        """The position that changes when any output of the net does."""
        return self.size - 1


class Unsteady(Exception):
    """Forward does not give the same for the same values, so nothing can be told from changes."""


class Probe:
    """Runs one net, in one mode (training or evaluation), with disturbances."""

    def __init__(self, net: paddle.nn.Layer, leaves: list[Leaf], example: Example, training: bool) -> None:
        """See which leaves are called. Raises what forward raises, or :class:`Unsteady`."""
        self.leaves = leaves
        self.forwards = 0
        self._net = net
        self._example = example
        self._training = training
        self._samples: dict[Sample, tuple[StandIns, _Seen]] = {}
        first = self._base(Sample.POSITIVE)
        self.layout = _layout(first)
        again = self.changed(Sample.POSITIVE, {})
        if again.any():
            raise Unsteady("its forward gives different results for the same values")

    def changed(self, sample: Sample, masks: Mapping[int, np.ndarray | None]) -> np.ndarray:
        """Return which positions see these leaves' channels disturbed: bool [positions].

        A mask of None disturbs all channels. Leaf -1 is the net's input.
        """
        base = self._base(sample)
        stand_ins, _ = self._samples[sample]
        full = {leaf: _EVERYTHING if mask is None else mask for leaf, mask in masks.items()}
        return self._compare(base, self._run(stand_ins, full))

    def forget(self, sample: Sample) -> None:
        """Free the memory of a sample's fixed values; they are drawn anew if asked for."""
        self._samples.pop(sample, None)

    def _base(self, sample: Sample) -> _Seen:
        if sample not in self._samples:
            stand_ins = StandIns(
                self.leaves, sample, Replay() if isinstance(self._net, GraphNetwork) else None
            )
            self._samples[sample] = (stand_ins, self._run(stand_ins, {}))
        return self._samples[sample][1]

    def _run(self, stand_ins: StandIns, masks: Mapping[int, np.ndarray]) -> _Seen:
        self.forwards += 1
        seen: _Seen = {}
        replay = stand_ins.replay

        def see(index: int, call: int, given: tuple[Any, ...]) -> None:
            for part, (tensor, axis) in enumerate(_watched(self.leaves[index], given)):
                port, look = Port(index, call, part), partial(_fingerprint, axis=axis)
                seen[port] = look([tensor]) if replay is None else replay.run(port, look, [tensor])

        with _mode(self._net, self._training, stand_ins.sample), paddle.no_grad():
            values = stand_ins.inputs(self._example.inputs, disturbed=-1 in masks)
            labels = self._example.labels if self._training else {}
            with stand_ins.installed(self._net, masks, see):
                outputs = paddle.utils.flatten(self._net(*values, **labels))
        tensors = [o.numpy().reshape(-1) for o in outputs if isinstance(o, paddle.Tensor)]
        seen[_OUTPUT] = np.concatenate([_bits(t) for t in tensors]) if tensors else np.zeros(0, np.uint8)
        return seen

    def _compare(self, base: _Seen, seen: _Seen) -> np.ndarray:
        changed = np.zeros(self.layout.size, bool)
        for port, place in self.layout.ports.items():
            before, after = base.get(port), seen.get(port)
            if before is None or after is None or before.shape != after.shape:
                changed[place] = True  # forward took another branch: whoever was disturbed decides here
            else:
                changed[place] = before != after
        more = seen.keys() - self.layout.ports.keys() - {_OUTPUT}
        changed[-1] = bool(more) or not np.array_equal(base[_OUTPUT], seen[_OUTPUT])
        return changed


_Seen = dict[Port, np.ndarray]
_OUTPUT = Port(-1, 0, 0)


def _layout(seen: _Seen) -> Layout:
    ports: dict[Port, slice] = {}
    size = 0
    for port, prints in seen.items():
        if port != _OUTPUT:
            ports[port] = slice(size, size + len(prints))
            size += len(prints)
    return Layout(ports, size + 1)


def _watched(leaf: Leaf, given: tuple[Any, ...]) -> list[tuple[paddle.Tensor, int | None]]:
    """Return the tensors that go into a leaf, each with its axis of channels."""
    tensors = [t for t in paddle.utils.flatten(list(given)) if isinstance(t, paddle.Tensor)]
    if not leaf.has_channels_in:
        return [(tensor, None) for tensor in tensors]
    watched: list[tuple[paddle.Tensor, int | None]] = [(tensors[0], leaf.channel_axis(tensors[0].ndim))]
    if leaf.kind is Kind.RECURRENT:
        watched += [(state, state.ndim - 1) for state in tensors[1:] if state.is_floating_point()]
    return watched


def _fingerprint(watched: Sequence[paddle.Tensor], axis: int | None) -> np.ndarray:
    """Return the bits of one weighted sum per channel (a plain sum is blind behind a softmax)."""
    x = watched[0]
    if x.dtype != paddle.float32:
        x = x.astype("float32")
    if axis is None:
        x, axis = x.reshape([-1, 1]), 1
    channels = int(x.shape[axis])
    if axis == x.ndim - 1:
        flat = x.reshape([-1, channels])
        sums = (flat * _weights(int(flat.shape[0]))).sum(0)
    else:
        flat = x.reshape([int(x.shape[0]), channels, -1])
        rows, columns = int(flat.shape[0]), int(flat.shape[2])
        weights = _weights(rows * columns).reshape([rows, 1, columns])
        sums = (flat * weights).sum([0, 2])
    return sums.numpy().view(np.uint32)


_drawn_weights = np.random.default_rng(0).uniform(0.5, 1.5, 1 << 16).astype(np.float32)


@lru_cache(maxsize=64)
def _weights(count: int) -> paddle.Tensor:
    return paddle.to_tensor(np.resize(_drawn_weights, count)).reshape([count, 1])


def _bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.uint8)


class _mode:
    """While it lasts, the net trains or evaluates, and random numbers start from the same seed."""

    def __init__(self, net: paddle.nn.Layer, training: bool, seed: int) -> None:
        self._net = net
        self._training = training
        self._seed = seed

    def __enter__(self) -> None:
        self._modes = [(layer, layer.training) for layer in self._net.sublayers(include_self=True)]
        self._random = paddle.get_rng_state()
        if self._training:
            self._net.train()
        else:
            self._net.eval()
        paddle.seed(self._seed)

    def __exit__(self, *_: object) -> None:
        for layer, training in self._modes:
            layer.training = training
        paddle.set_rng_state(self._random)
