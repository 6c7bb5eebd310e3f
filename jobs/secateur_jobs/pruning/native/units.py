"""Units: the smallest sets of channels that can only go together, and those that cannot go at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from secateur_jobs.pruning.native.findings import Findings, Frozen
from secateur_jobs.pruning.native.leaves import Kind
from secateur_jobs.pruning.native.nodes import Nodes
from secateur_jobs.pruning.native.parameter_axes import cuts_whole_groups, parameter_axes

UNUSED = "forward does not use it"
TRAINING_ONLY = "only training uses it: inference does not run it"
Pairs = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Units:
    """The units of a net."""

    of_node: np.ndarray
    """Node to its unit."""
    reasons: dict[int, str]
    """Units that must stay, with the reason."""


def find_units(nodes: Nodes, findings: Sequence[Findings]) -> Units:
    """Join what was found in all modes with what layers themselves demand."""
    called = set().union(*(f.called for f in findings))
    pairs = [(f.one, f.other) for f in findings]
    pairs += [pair for leaf in sorted(called) for pair in tied_by(leaf, nodes)]
    pairs += _shared_parameters(nodes)
    one = np.concatenate([np.empty(0, np.int64), *(a for a, _ in pairs)])
    other = np.concatenate([np.empty(0, np.int64), *(b for _, b in pairs)])
    count = len(nodes.leaf_of)
    graph = sparse.coo_matrix((np.ones(len(one), bool), (one, other)), shape=(count, count))
    _, of_node = sparse.csgraph.connected_components(graph, directed=False)
    frozen = [f for finding in findings for f in finding.frozen]
    frozen += [f for leaf in sorted(called) for f in _kept_by(leaf, nodes)]
    frozen += _not_inferred(nodes, findings[0].called, called)
    reasons: dict[int, str] = {}
    for each in frozen:
        for node in each.nodes.tolist():
            at = nodes.leaves[nodes.leaf_of[node]].name
            reasons.setdefault(int(of_node[node]), each.reason.replace("{at}", at))
    return Units(of_node, reasons)


def _not_inferred(nodes: Nodes, inferred: set[int], called: set[int]) -> list[Frozen]:
    """Return output channels of layers that inference does not run: to cut them gains nothing there."""
    shared = {id(p) for leaf in inferred for p in nodes.leaves[leaf].layer._parameters.values()}
    return [
        Frozen(nodes.outs(index), TRAINING_ONLY if index in called else UNUSED)
        for index, leaf in enumerate(nodes.leaves)
        if index not in inferred
        and leaf.is_producer
        and leaf.kind is not Kind.LOOSE
        and not shared & {id(p) for p in leaf.layer._parameters.values()}
    ]


def _kept_by(index: int, nodes: Nodes) -> list[Frozen]:
    """Return input channels that a layer itself cannot do without."""
    leaf = nodes.leaves[index]
    over_all = "{at} takes mean and variance over these channels together: without some the others change"
    if leaf.kind is Kind.LAYER_NORM and len(leaf.layer._normalized_shape) > 1:
        return [Frozen(nodes.ins(index), over_all + " (layer normalisation over several axes)")]
    if leaf.kind is Kind.GROUP_NORM and int(leaf.layer._num_groups) == 1:
        return [Frozen(nodes.ins(index), over_all + " (group normalisation with one group)")]
    if leaf.kind is Kind.EMBEDDING:
        return [Frozen(nodes.ins(index), "they decide which rows {at} looks up")]
    if leaf.kind is Kind.OPAQUE:
        return [Frozen(nodes.ins(index), f"{{at}} ({type(leaf.layer).__name__}) cannot follow a cut")]
    return []


def tied_by(index: int, nodes: Nodes) -> list[Pairs]:
    """Return channels that a layer itself ties together."""
    leaf, ins, outs = nodes.leaves[index], nodes.ins(index), nodes.outs(index)
    if leaf.kind is Kind.GROUP_NORM:
        return [_columns_tied(ins.reshape(int(leaf.layer._num_groups), -1).T)]
    if leaf.kind is not Kind.GROUPED:
        return []
    ins, outs = (side.reshape(int(leaf.layer._groups), -1) for side in (ins, outs))
    if cuts_whole_groups(leaf):
        return [_columns_tied(np.concatenate([ins, outs], axis=1).T)]
    return [_columns_tied(ins), _columns_tied(outs)]


def _columns_tied(table: np.ndarray) -> Pairs:
    """Tie the nodes of every column of a table."""
    return np.broadcast_to(table[:1], table[1:].shape).reshape(-1), table[1:].reshape(-1)


def _shared_parameters(nodes: Nodes) -> list[Pairs]:
    """Return channels that lie at the same place of one parameter that several layers use."""
    first: dict[tuple[int, int], np.ndarray] = {}
    pairs: list[Pairs] = []
    for index, leaf in enumerate(nodes.leaves):
        for axis in parameter_axes(leaf):
            mine = nodes.side(index, axis.side)[axis.channel]
            key = (id(getattr(leaf.layer, axis.parameter)), axis.axis)
            before = first.setdefault(key, mine)
            if before is not mine:
                pairs.append((before, mine))
    return pairs
