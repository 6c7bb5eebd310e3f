"""Every input and output channel of every leaf, numbered, and where it lies in parameters and buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from secateur_jobs.pruning.engine import Role
from secateur_jobs.pruning.layers import TRANSPOSED
from secateur_jobs.pruning.native.leaves import Kind, Leaf
from secateur_jobs.pruning.native.loose import LooseAxis
from secateur_jobs.pruning.native.probe import Layout

Side = Literal["in", "out"]


@dataclass(frozen=True, eq=False)
class ParameterAxis:
    """One axis of one tensor of a leaf."""

    parameter: str
    axis: int
    side: Side
    """Whether ``channel`` counts input or output channels."""
    channel: np.ndarray
    """For each position of the axis its channel; int64."""
    role: Role


def parameter_axes(leaf: Leaf) -> list[ParameterAxis]:
    """Return all axes that a cut of the leaf's channels shortens, of tensors that it has."""
    axes = _AXES[leaf.kind](leaf) if leaf.kind in _AXES else []
    return [axis for axis in axes if getattr(leaf.layer, axis.parameter, None) is not None]


def in_width(leaf: Leaf) -> int:
    """Return the number of input channels (1 where they are not told apart)."""
    if not leaf.has_channels_in:
        return 1
    if leaf.kind is Kind.LAYER_NORM:
        return int(leaf.layer._normalized_shape[-1])
    if leaf.kind is Kind.GROUP_NORM:
        return int(leaf.layer._num_channels)
    if leaf.kind in (Kind.BATCH_NORM, Kind.INSTANCE_NORM):
        return _norm_width(leaf)
    if leaf.kind is Kind.PRELU:
        return int(leaf.layer._weight.shape[0])
    if leaf.kind is Kind.RECURRENT:
        return int(leaf.layer.weight_ih_l0.shape[1])
    shape = leaf.layer.weight.shape
    if leaf.kind is Kind.DENSE:
        return int(shape[_dense_in_axis(leaf)])
    return int(shape[0]) if isinstance(leaf.layer, TRANSPOSED) else int(shape[1]) * int(leaf.layer._groups)


def cuts_whole_groups(leaf: Leaf) -> bool:
    """Whether a grouped convolution loses whole groups; else every group loses the same channels."""
    groups = int(leaf.layer._groups)
    return groups >= max(in_width(leaf), leaf.out_width) // groups


def _norm_width(leaf: Leaf) -> int:
    for name in ("_mean", "weight", "scale", "bias"):
        tensor = getattr(leaf.layer, name, None)
        if tensor is not None:
            return int(tensor.shape[0])
    return int(leaf.layer._num_features)


def _dense_in_axis(leaf: Leaf) -> int:
    is_convolution = hasattr(leaf.layer, "_groups") and not isinstance(leaf.layer, TRANSPOSED)
    return 1 if is_convolution else 0


def _dense(leaf: Leaf) -> list[ParameterAxis]:
    axis = _dense_in_axis(leaf)
    outputs = np.arange(leaf.out_width)
    return [
        ParameterAxis("weight", 1 - axis, "out", outputs, "out"),
        ParameterAxis("bias", 0, "out", outputs, "out"),
        ParameterAxis("weight", axis, "in", np.arange(in_width(leaf)), "in"),
    ]


def _grouped(leaf: Leaf) -> list[ParameterAxis]:
    outputs, inputs = np.arange(leaf.out_width), np.arange(in_width(leaf))
    bias = ParameterAxis("bias", 0, "out", outputs, "out")
    transposed = isinstance(leaf.layer, TRANSPOSED)
    if cuts_whole_groups(leaf):
        # inputs and outputs of a group are one unit, and its weights lie together on the first axis
        first: tuple[Side, np.ndarray] = ("in", inputs) if transposed else ("out", outputs)
        return [ParameterAxis("weight", 0, *first, "out"), bias]
    groups = int(leaf.layer._groups)
    if transposed:
        outputs = outputs[: leaf.out_width // groups]
    else:
        inputs = inputs[: in_width(leaf) // groups]
    axis = 1 if transposed else 0
    return [
        ParameterAxis("weight", axis, "out", outputs, "out"),
        bias,
        ParameterAxis("weight", 1 - axis, "in", inputs, "in"),
    ]


def _depthwise(leaf: Leaf) -> list[ParameterAxis]:
    outputs = int(leaf.layer.weight.shape[0])
    channel = np.arange(outputs) // (outputs // int(leaf.layer._groups))
    return [ParameterAxis(name, 0, "in", channel, "other") for name in ("weight", "bias")]


def _loose(leaf: Leaf) -> list[ParameterAxis]:
    assert isinstance(leaf, LooseAxis)
    return [ParameterAxis(leaf.parameter, leaf.axis, "out", np.arange(leaf.out_width), "other")]


def _embedding(leaf: Leaf) -> list[ParameterAxis]:
    return [ParameterAxis("weight", 1, "out", np.arange(leaf.out_width), "out")]


def _recurrent(leaf: Leaf) -> list[ParameterAxis]:
    """Hidden unit j: row j of every gate, column j of what reads the hidden state, in all layers."""
    layer, hidden = leaf.layer, leaf.out_width
    gates = np.tile(np.arange(hidden), int(layer.weight_hh_l0.shape[0]) // hidden)
    below = np.tile(np.arange(hidden), int(layer.num_directions))
    axes = []
    for number in range(int(layer.num_layers)):
        for suffix in ("", "_reverse")[: int(layer.num_directions)]:
            end = f"l{number}{suffix}"
            axes += [
                ParameterAxis(f"{name}_{end}", 0, "out", gates, "out")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            axes.append(ParameterAxis(f"weight_hh_{end}", 1, "out", np.arange(hidden), "in"))
            if number == 0:
                axes.append(ParameterAxis(f"weight_ih_{end}", 1, "in", np.arange(in_width(leaf)), "in"))
            else:
                axes.append(ParameterAxis(f"weight_ih_{end}", 1, "out", below, "in"))
    return axes


def _norm(leaf: Leaf) -> list[ParameterAxis]:
    names = ("weight", "_weight", "scale", "bias", "_mean", "_variance")
    return [ParameterAxis(name, 0, "in", np.arange(in_width(leaf)), "other") for name in names]


_AXES = {
    Kind.DENSE: _dense,
    Kind.GROUPED: _grouped,
    Kind.DEPTHWISE: _depthwise,
    Kind.EMBEDDING: _embedding,
    Kind.LOOSE: _loose,
    Kind.RECURRENT: _recurrent,
    Kind.BATCH_NORM: _norm,
    Kind.INSTANCE_NORM: _norm,
    Kind.GROUP_NORM: _norm,
    Kind.LAYER_NORM: _norm,
    Kind.PRELU: _norm,
}


@dataclass(frozen=True, eq=False)
class Nodes:
    """Numbers of channels: first the inputs of all leaves, then the outputs of all that have their own."""

    leaves: list[Leaf]
    first_in: list[int]
    first_out: list[int]
    leaf_of: np.ndarray
    """Index of the leaf that a node belongs to."""
    is_produced: np.ndarray
    """Whether a node is an output channel of a producer; bool."""

    @classmethod
    def of(cls, leaves: list[Leaf], ins: list[int] | None = None) -> Nodes:
        """Number the channels of leaves; ``ins`` are the input widths if not those of their tensors."""
        ins = [in_width(leaf) for leaf in leaves] if ins is None else ins
        outs = [leaf.out_width if leaf.has_channels_out else 0 for leaf in leaves]
        indices = np.arange(len(leaves))
        return cls(
            leaves,
            first_in=np.cumsum([0, *ins]).tolist(),
            first_out=(sum(ins) + np.cumsum([0, *outs])).tolist(),
            leaf_of=np.concatenate([np.repeat(indices, ins), np.repeat(indices, outs)]),
            is_produced=np.repeat(
                [False] * len(leaves) + [leaf.is_producer for leaf in leaves], [*ins, *outs]
            ),
        )

    def ins(self, leaf: int) -> np.ndarray:
        """Return the nodes of a leaf's input channels."""
        return np.arange(self.first_in[leaf], self.first_in[leaf + 1])

    def outs(self, leaf: int) -> np.ndarray:
        """Return the nodes of a leaf's output channels; empty for one whose outputs follow its inputs."""
        return np.arange(self.first_out[leaf], self.first_out[leaf + 1])

    def joined(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """Return for each node the number of the part that it is in, when ``pairs`` of nodes are tied."""
        one = np.concatenate([np.empty(0, np.int64), *(a for a, _ in pairs)])
        other = np.concatenate([np.empty(0, np.int64), *(b for _, b in pairs)])
        count = len(self.leaf_of)
        graph = sparse.coo_matrix((np.ones(len(one), bool), (one, other)), shape=(count, count))
        return np.asarray(sparse.csgraph.connected_components(graph, directed=False)[1])

    def side(self, leaf: int, side: Side) -> np.ndarray:
        """Return the nodes of one side of a leaf."""
        return self.ins(leaf) if side == "in" else self.outs(leaf)

    def of_positions(self, layout: Layout) -> np.ndarray:
        """Return the node of every position of a probe, -1 for the outputs.

        An initial state of a recurrent layer runs along its own channels. Where channels are not told apart,
        one node stands for all.
        """
        nodes = np.full(layout.size, -1)
        for port, place in layout.ports.items():
            leaf = self.leaves[port.leaf]
            is_state = leaf.kind is Kind.RECURRENT and port.part > 0
            mine = self.outs(port.leaf) if is_state else self.ins(port.leaf)
            nodes[place] = mine if leaf.has_channels_in else mine[0]
        return nodes
