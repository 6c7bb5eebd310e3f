"""Every input and every output channel of every leaf, numbered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secateur_jobs.pruning.native.leaves import Kind, Leaf
from secateur_jobs.pruning.native.parameter_axes import Side, in_width
from secateur_jobs.pruning.native.probe import Layout


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
