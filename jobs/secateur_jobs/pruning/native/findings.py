"""What probing in one mode tells: which channels belong together, and which must stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secateur_jobs.pruning.native.channels import find_links
from secateur_jobs.pruning.native.leaves import Kind
from secateur_jobs.pruning.native.nodes import Nodes
from secateur_jobs.pruning.native.probe import Probe
from secateur_jobs.pruning.native.reach import find_reach

INPUT = -1
HEAD = "its channels are the model's output (head layer)"
UNSEEN = "no layer is seen to depend on its channels"


@dataclass(frozen=True, eq=False)
class Frozen:
    """Channels that must stay."""

    nodes: np.ndarray
    reason: str
    """Words for a producer of such channels; ``{at}`` stands for the layer that the node is of."""


@dataclass(frozen=True, eq=False)
class Findings:
    """The outcome of one probe."""

    called: set[int]
    """Leaves that forward uses."""
    one: np.ndarray
    other: np.ndarray
    """``one[i]`` and ``other[i]`` are nodes that belong together."""
    frozen: list[Frozen]
    mixed: dict[int, str]
    """Producers all of whose channels mix, and the layer in front of which they do."""


def explore(probe: Probe, nodes: Nodes) -> Findings:
    """Probe one mode of a net."""
    leaves = probe.leaves
    called = {port.leaf for port in probe.layout.ports}
    loose = {index for index, leaf in enumerate(leaves) if leaf.kind is Kind.LOOSE}
    sources = [INPUT, *(leaf for leaf in sorted(called) if leaves[leaf].stops), *sorted(loose)]
    reach = dict(zip(sources, find_reach(probe, sources), strict=True))
    at = nodes.of_positions(probe.layout)
    frozen: list[Frozen] = []
    live: dict[int, np.ndarray] = {}
    for source, reached in reach.items():
        to_output = bool(reached[probe.layout.output])
        reached[probe.layout.output] = False
        if source != INPUT and leaves[source].has_channels_out and not to_output:
            live[source] = reached
        elif source not in loose:  # a parameter of the outputs is not cut, so it ties nothing
            frozen += _fixed_source(source, np.unique(at[reached]), nodes)
    links, mixing = find_links(probe, live)
    mixing_loose = {leaf for leaf in loose & live.keys() if links.mixes(leaf, leaves[leaf].out_width)}
    # one channel that meets many (a mask, a gate) cannot be cut, and they go without it
    single = {leaf for leaf in live if leaves[leaf].out_width == 1}
    links = links.without(mixing_loose | single)
    first_out = np.asarray(nodes.first_out)
    one, other = first_out[links.leaf] + links.channel, at[links.position]
    unseen = [np.setdiff1d(nodes.outs(leaf), one) for leaf in live.keys() - loose - single]
    frozen += [Frozen(n, UNSEEN) for n in unseen if len(n)]
    mixed = {leaf: leaves[nodes.leaf_of[at[position]]].name for leaf, position in mixing.items()}
    return Findings(called, one, other, frozen, mixed)


def _fixed_source(source: int, reached: np.ndarray, nodes: Nodes) -> list[Frozen]:
    """Freeze what is reached by a source whose channels cannot be cut."""
    if source == INPUT:
        return [Frozen(reached, "its channels meet the model's input before {at}")]
    leaf = nodes.leaves[source]
    if leaf.kind is Kind.OPAQUE:
        what = f"{leaf.name} ({type(leaf.layer).__name__} with {_oddity(source, nodes)})"
        return [Frozen(reached, f"its channels meet those of {what}, which cannot be cut, before {{at}}")]
    shared = f"its channels meet those of {leaf.name}, which are the model's output, before {{at}}"
    return [Frozen(nodes.outs(source), HEAD), Frozen(reached, shared)]


def _oddity(source: int, nodes: Nodes) -> str:
    layer = nodes.leaves[source].layer
    if getattr(layer, "proj_size", 0):
        return "a projection"
    if layer._parameters.get("weight") is None:
        return "a weight computed from other parameters"
    return "more than a weight and a bias"
