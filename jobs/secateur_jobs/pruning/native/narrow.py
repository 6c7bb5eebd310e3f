"""Where channels end up in the same net with fewer of them: split, chunk, shuffle and slice go by position.

The net is probed a second time while some producers return narrower values; no tensor is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.masking import other_forwards
from secateur_jobs.pruning.native.findings import find_links, find_reach
from secateur_jobs.pruning.native.groups import tied_by
from secateur_jobs.pruning.native.leaves import Leaf
from secateur_jobs.pruning.native.parameter_axes import Nodes, in_width
from secateur_jobs.pruning.native.probe import Example, Layout, Probe

Widths = Mapping[int, int]
"""Leaf to its number of output channels."""
Parts = dict[int, np.ndarray]
"""A unit's channels, ascending: 2 x leaf, plus 1 for an output, to int array."""
_Recorded = dict[tuple[int, int], Any]


class NoMatch(Exception):
    """Channels of the narrow net have no counterpart in the wide one."""


@dataclass(frozen=True, eq=False)
class NarrowNet:
    """The units of some producers' channels in the narrow net, in the order of their first output."""

    nodes: Nodes
    units: list[np.ndarray]
    """The nodes of each unit."""


@dataclass(frozen=True, eq=False)
class _NarrowLeaf(Leaf):
    """A producer with another number of output channels than its tensors have."""

    width: int

    @property
    def out_width(self) -> int:
        return self.width


@dataclass(eq=False)
class Narrowing:
    """Probes one net at other widths."""

    net: paddle.nn.Layer
    leaves: list[Leaf]
    example: Example
    modes: tuple[bool, ...] = (False, True)
    """Which modes to probe (training or not): those that told something about the wide net."""
    _recorded: dict[tuple[bool, str], _Recorded] = field(default_factory=dict)
    """By mode and precision: the proof runs the net in float64."""

    def at(self, widths: Widths) -> NarrowNet:
        """Return the units of the producers in ``widths`` at these widths.

        Raises NoMatch if they reach the outputs, and whatever a forward raises that cannot take the widths.
        """
        leaves = [
            _NarrowLeaf(leaf.name, leaf.layer, leaf.kind, widths[index]) if index in widths else leaf
            for index, leaf in enumerate(self.leaves)
        ]
        seen = [self._links(leaves, widths, training) for training in self.modes]
        nodes = Nodes.of(leaves, _in_widths(leaves, [layout for layout, *_ in seen]))
        pairs = [
            (np.asarray(nodes.first_out)[leaf] + channel, nodes.of_positions(layout)[position])
            for layout, leaf, channel, position in seen
        ]
        called = {port.leaf for layout, *_ in seen for port in layout.ports}
        pairs += [pair for leaf in sorted(called) for pair in tied_by(leaf, nodes)]
        return _units(nodes, pairs, widths)

    def _links(
        self, leaves: list[Leaf], widths: Widths, training: bool
    ) -> tuple[Layout, np.ndarray, np.ndarray, np.ndarray]:
        recorded = self._recordings(training)
        with _answering(self.leaves, recorded, widths):
            probe = Probe(self.net, leaves, self.example, training)
            sources = sorted(widths)
            reach = find_reach(probe, sources)
            if reach[:, probe.layout.output].any():
                raise NoMatch("narrower channels reach the outputs")
            links, _ = find_links(probe, dict(zip(sources, reach, strict=True)))
        return probe.layout, links.leaf, links.channel, links.position

    def _recordings(self, training: bool) -> _Recorded:
        """Return what every leaf that stops returns in the wide net, call by call."""
        key = (training, paddle.get_default_dtype())
        if key not in self._recorded:
            recorded: _Recorded = {}
            with _recording(self.leaves, recorded):
                Probe(self.net, self.leaves, self.example, training)
            self._recorded[key] = recorded
        return self._recorded[key]


def parts_of(nodes: Nodes, own: np.ndarray) -> Parts:
    """Return the channels of a unit, given its nodes."""
    leaf, is_out = nodes.leaf_of[own], own >= nodes.first_out[0]
    first = np.where(is_out, np.asarray(nodes.first_out)[leaf], np.asarray(nodes.first_in)[leaf])
    side = 2 * leaf + is_out
    return {int(s): np.sort((own - first)[side == s]) for s in np.unique(side)}


def _units(nodes: Nodes, pairs: list[tuple[np.ndarray, np.ndarray]], sources: Widths) -> NarrowNet:
    of_node = nodes.joined(pairs)
    outs = np.concatenate([nodes.outs(leaf) for leaf in sorted(sources)])
    _, first = np.unique(of_node[outs], return_index=True)
    units = [np.flatnonzero(of_node == of_node[outs[i]]) for i in np.sort(first)]
    return NarrowNet(nodes, units)


def _in_widths(leaves: list[Leaf], layouts: list[Layout]) -> list[int]:
    widths = [in_width(leaf) for leaf in leaves]
    for layout in layouts:
        for port, place in layout.ports.items():
            if port.part == 0 and leaves[port.leaf].has_channels_in:
                widths[port.leaf] = place.stop - place.start
    return widths


@contextmanager
def _recording(leaves: list[Leaf], recorded: _Recorded) -> Iterator[None]:
    """While it lasts, leaves note what they return the first time that a net runs."""
    calls = [0] * len(leaves)

    def recorder(index: int, forward: Any) -> Any:
        def record(*args: Any, **kwargs: Any) -> Any:
            recorded[index, calls[index]] = result = forward(*args, **kwargs)
            calls[index] += 1
            return result

        return record

    forwards = {leaf.layer: recorder(i, leaf.layer.forward) for i, leaf in enumerate(leaves) if leaf.stops}
    with other_forwards(forwards):
        yield


@contextmanager
def _answering(leaves: list[Leaf], recorded: _Recorded, widths: Widths) -> Iterator[None]:
    """While it lasts, leaves return what was recorded, narrower where ``widths`` says so."""
    asked = [0] * len(leaves)
    calls = [sum(index == leaf for leaf, _ in recorded) for index in range(len(leaves))]

    def answer(index: int) -> Any:
        def forward(*_: Any, **__: Any) -> Any:
            call, asked[index] = asked[index] % max(calls[index], 1), asked[index] + 1
            if (index, call) not in recorded:
                raise NoMatch("a layer runs that did not run before")
            given = recorded[index, call]
            if index not in widths:
                return given
            leaf = leaves[index]
            narrow = [_zeros(leaf, t, widths[index]) for t in paddle.utils.flatten(given)]
            return paddle.utils.pack_sequence_as(given, narrow)

        return forward

    with other_forwards({leaf.layer: answer(i) for i, leaf in enumerate(leaves) if leaf.stops}):
        yield


def _zeros(leaf: Leaf, like: paddle.Tensor, width: int) -> paddle.Tensor:
    shape = list(like.shape)
    axis = leaf.channel_axis(like.ndim)
    shape[axis] = shape[axis] // leaf.out_width * width
    return paddle.zeros(shape, like.dtype)
