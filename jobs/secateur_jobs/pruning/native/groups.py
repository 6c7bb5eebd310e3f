"""Units, the smallest sets of channels that can only go together (or not at all), and groups of them.

A group has units of the same producers, each taking as much of every tensor as the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from secateur_jobs.pruning.engine import ChannelGroup, NormedAxis, Slice
from secateur_jobs.pruning.native.findings import Findings, Frozen
from secateur_jobs.pruning.native.leaves import Kind
from secateur_jobs.pruning.native.parameter_axes import Nodes, cuts_whole_groups, parameter_axes

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
    of_node = nodes.joined(pairs)
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


Signature = tuple[tuple[int, int], ...]
"""How many of which nodes: (2 x leaf, plus 1 for an output; number)."""


def find_groups(nodes: Nodes, units: Units) -> list[ChannelGroup]:
    """Return the groups of two units and more, in the order of their leaders."""
    members = members_of(nodes, units)
    bundles: dict[tuple[int, Signature], list[int]] = {}
    families = families_of(nodes, members)
    for unit, own in members.items():
        bundles.setdefault((families[unit], signature(nodes, own)), []).append(unit)
    led: dict[int, list[list[int]]] = {}
    for bundle in bundles.values():
        if len(bundle) > 1:
            leader = _producers(nodes, members[bundle[0]])[0]
            led.setdefault(leader, []).append(sorted(bundle, key=lambda u: first_out(nodes, members[u])))
    groups = []
    for leader in sorted(led):
        bundles_of = sorted(led[leader], key=lambda bundle: first_out(nodes, members[bundle[0]]))
        for number, bundle in enumerate(bundles_of):
            name = nodes.leaves[leader].name + (f"#{number}" if number else "")
            slices, norms = slices_of(nodes, units, leader, bundle), norms_of(nodes, units, bundle)
            groups.append(ChannelGroup(name, len(bundle), slices, norms=norms))
    return groups


def why_not(
    nodes: Nodes, units: Units, groups: Sequence[ChannelGroup], findings: Sequence[Findings]
) -> dict[str, str]:
    """Return for every producer none of whose channels are in a group what stands in the way."""
    cut = {name for group in groups for name in group.producers}
    called = set().union(*(f.called for f in findings))
    reasons: dict[str, str] = {}
    for index, leaf in enumerate(nodes.leaves):
        if leaf.kind is Kind.LOOSE or not (leaf.stops or index not in called) or leaf.name in cut:
            continue
        if index not in called:
            reasons[leaf.name] = UNUSED
        elif not leaf.is_producer:
            reasons[leaf.name] = f"{type(leaf.layer).__name__} with this weight cannot be cut"
        else:
            reasons[leaf.name] = _why_not(index, nodes, units, findings)
    return reasons


def _why_not(index: int, nodes: Nodes, units: Units, findings: Sequence[Findings]) -> str:
    own = units.of_node[nodes.outs(index)].tolist()
    for unit in own:
        if unit in units.reasons:
            return units.reasons[unit]
    for finding in findings:
        if index in finding.mixed:
            return f"all its channels mix before {finding.mixed[index]}: none can go alone"
    if len(own) == 1:
        return "it has one output channel"
    return "its channels are tied into one that cannot be divided"


def members_of(nodes: Nodes, units: Units) -> dict[int, np.ndarray]:
    """Return the nodes of every unit that may go and has a producer."""
    order = np.argsort(units.of_node, kind="stable")
    ids, starts = np.unique(units.of_node[order], return_index=True)
    split = np.split(order, starts[1:])
    has_producer = set(np.unique(units.of_node[nodes.is_produced]).tolist())
    return {
        unit: own
        for unit, own in zip(ids.tolist(), split, strict=True)
        if unit in has_producer and unit not in units.reasons
    }


def signature(nodes: Nodes, own: np.ndarray) -> Signature:
    sides = 2 * nodes.leaf_of[own] + (own >= nodes.first_out[0])
    return tuple(sorted(Counter(sides.tolist()).items()))


def families_of(nodes: Nodes, members: dict[int, np.ndarray]) -> dict[int, int]:
    """Number units so that units which share a producer, directly or through others, share a number."""
    parent: dict[int, int] = {}

    def root(producer: int) -> int:
        while parent.setdefault(producer, producer) != producer:
            producer = parent[producer]
        return producer

    first: dict[int, int] = {}
    for unit, own in members.items():
        producers = _producers(nodes, own)
        first[unit] = producers[0]
        for producer in producers[1:]:
            parent[root(producer)] = root(producers[0])
    return {unit: root(producer) for unit, producer in first.items()}


def first_out(nodes: Nodes, own: np.ndarray) -> int:
    """Return the first output channel of a unit: the leader's."""
    return int(own[nodes.is_produced[own]].min())


def _producers(nodes: Nodes, own: np.ndarray) -> list[int]:
    """Return the leaves that produce channels of a unit, ascending."""
    return [int(leaf) for leaf in np.unique(nodes.leaf_of[own[nodes.is_produced[own]]])]


def slices_of(nodes: Nodes, units: Units, leader: int, bundle: list[int]) -> tuple[Slice, ...]:
    """Return what a bundle of units has of every tensor, the leader's first."""
    number = _numbers(units, bundle)
    touched = np.unique(nodes.leaf_of[number[units.of_node] >= 0]).tolist()
    indices = [leader, *(index for index in touched if index != leader)]
    slices = []
    for index in indices:
        for axis in parameter_axes(nodes.leaves[index]):
            owner = number[units.of_node[nodes.side(index, axis.side)[axis.channel]]]
            if (owner >= 0).any():
                slices.append(Slice(nodes.leaves[index].name, axis.parameter, axis.axis, owner, axis.role))
    return tuple(slices)


def norms_of(nodes: Nodes, units: Units, bundle: list[int]) -> tuple[NormedAxis, ...]:
    """Return the layer normalisations over a bundle of units."""
    number = _numbers(units, bundle)
    owners = {
        index: number[units.of_node[nodes.ins(index)]]
        for index, leaf in enumerate(nodes.leaves)
        if leaf.kind is Kind.LAYER_NORM
    }
    return tuple(
        NormedAxis(nodes.leaves[index].name, owner) for index, owner in owners.items() if (owner >= 0).any()
    )


def _numbers(units: Units, bundle: list[int]) -> np.ndarray:
    """Return for each unit its place in the bundle, -1 if it is not in it."""
    number = np.full(int(units.of_node.max()) + 1, -1)
    number[bundle] = np.arange(len(bundle))
    return number
