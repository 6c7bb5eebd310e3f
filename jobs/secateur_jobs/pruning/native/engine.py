"""The native engine: groups by probing, cuts by rewriting tensors.

What was found in one mode is tried in another by a dozen forward passes: every unit that may go gets a code
word of constant weight, and all its channels are disturbed in the runs of its bits. An input that depends on
no other unit shows no bit that its own unit's word lacks; one that does, shows one, since no word is part of
another.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from secateur_api.spec import InputSpec
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup, Keep, norms_kept
from secateur_jobs.pruning.layers import (
    Attributes,
    cuttable_layers,
    describe_widths,
    named_layers,
    read_widths,
    write_widths,
)
from secateur_jobs.pruning.native.arrangement import Order, arrangement
from secateur_jobs.pruning.native.bound import BoundGroup, bound_groups
from secateur_jobs.pruning.native.codes import code_words
from secateur_jobs.pruning.native.findings import INPUT, Findings, explore
from secateur_jobs.pruning.native.groups import UNUSED, Units, find_groups, find_units, why_not
from secateur_jobs.pruning.native.leaves import Kind, Leaf
from secateur_jobs.pruning.native.loose import all_leaves, buffers_kept
from secateur_jobs.pruning.native.narrow import Narrowing
from secateur_jobs.pruning.native.parameter_axes import Nodes, cuts_whole_groups
from secateur_jobs.pruning.native.probe import Example, Probe, Unsteady
from secateur_jobs.pruning.native.stand_ins import Sample
from secateur_jobs.training.form import labels_asked, needs_labels
from secateur_jobs.training.forward import zeros

_UNUSED = "inference does not use it"
"""Of training nothing is known."""


class NativeEngine:
    """Groups, cut, restore, freeze for any net that runs. See :class:`PruningEngine`."""

    name = "native"
    forwards: int
    """How many forward passes it took to find the groups."""

    def __init__(
        self,
        net: paddle.nn.Layer,
        inputs: list[InputSpec],
        labels: np.ndarray | None = None,
        inspects: bool = False,
    ) -> None:
        """``labels`` are those of one sample or more, for a ``forward`` that asks for them in training.

        Where it ``inspects``, one that cannot train without them is looked at as it infers; not to be cut so.
        """
        self.net = net
        self._leaves = all_leaves(net)
        self._backups: list[tuple[paddle.Tensor, np.ndarray]] = []
        self._attributes: Attributes | None = None
        self._narrowing = Narrowing(net, self._leaves, _example(net, inputs, labels))
        self.training_unseen = inspects and needs_labels(net, self._narrowing.example.inputs)
        if self.training_unseen:
            self._narrowing.modes = (False,)
        self.groups, self.reasons, self.forwards = _find(self._narrowing)
        if self.training_unseen:
            self.reasons = {name: why.replace(UNUSED, _UNUSED) for name, why in self.reasons.items()}

    def cut(self, keep: Keep) -> None:
        """Take the removed positions out of every tensor."""
        if self._attributes is not None:
            raise RuntimeError("the engine has a cut already; restore it first")
        order = arrangement(_bound(self.groups, keep), self._narrowing)
        self._attributes = read_widths(self.net)
        counts = _widths_of_whole_groups(self._leaves)
        for tensor, positions in self._positions(keep, order):
            before = tensor.numpy()
            self._backups.append((tensor, before))
            after = before
            for axis, kept in positions.items():
                after = np.take(after, kept, axis)
            _put(tensor, after)
        for layer, attribute, width in counts:
            setattr(layer, attribute, int(layer.weight.shape[0]) // width)
        layers = named_layers(self.net)
        for name, kept in norms_kept(self.groups, keep).items():
            layers[name]._normalized_shape = [int(kept.sum())]
        describe_widths(self.net)

    def restore(self) -> None:
        """Put the tensors back that were cut."""
        for tensor, before in self._backups:
            _put(tensor, before)
        self._backups.clear()
        if self._attributes is not None:
            write_widths(self._attributes)
            self._attributes = None

    def freeze(self) -> None:
        """Forget what was there before."""
        self._backups.clear()
        self._attributes = None

    def _positions(self, keep: Keep, order: Order) -> Iterator[tuple[paddle.Tensor, dict[int, np.ndarray]]]:
        """Yield every tensor that is cut, once, with what stays of each axis that becomes shorter."""
        layers = named_layers(self.net)
        found: dict[int, tuple[paddle.Tensor, dict[int, np.ndarray]]] = {}
        for group in self.groups:
            for piece in group.slices if group.name in keep else ():
                tensor = getattr(layers[piece.layer], piece.parameter)
                _, positions = found.setdefault(id(tensor), (tensor, {}))
                place = (piece.layer, piece.parameter, piece.axis)
                if piece.axis not in positions:
                    positions[piece.axis] = order.get(place, np.arange(len(piece.owner)))
                stays = piece.kept(np.asarray(keep[group.name], bool))
                positions[piece.axis] = positions[piece.axis][stays[positions[piece.axis]]]
        yield from found.values()


def _bound(groups: list[ChannelGroup], keep: Keep) -> dict[BoundGroup, np.ndarray]:
    """Return the groups bound to positions that are cut, with what stays."""
    masks = {
        g: np.asarray(keep[g.name], bool) for g in groups if isinstance(g, BoundGroup) and g.name in keep
    }
    return {group: mask for group, mask in masks.items() if not mask.all()}


def _find(narrowing: Narrowing) -> tuple[list[ChannelGroup], dict[str, str], int]:
    net, leaves, example = narrowing.net, narrowing.leaves, narrowing.example
    nodes = Nodes.of(leaves)
    try:
        with buffers_kept(net):
            findings, forwards = _explore(net, leaves, example, nodes, narrowing.modes)
    except Unsteady as error:
        return [], dict.fromkeys(cuttable_layers(net), str(error)), 0
    except RAISED as error:  # the user's forward
        reason = f"forward fails on the values of a probe: {raised(error)}"
        return [], dict.fromkeys(cuttable_layers(net), reason), 0
    units = find_units(nodes, findings)
    narrowing.modes = (False, True)[: len(findings)]
    bound, stuck = bound_groups(nodes, units, narrowing)
    taken = {name for group in bound for name in group.producers} | stuck.keys()
    plain = [group for group in find_groups(nodes, units) if group.producers[0] not in taken]
    place = {leaf.name: index for index, leaf in enumerate(leaves)}
    groups = sorted([*plain, *bound], key=lambda group: place[group.producers[0]])
    return groups, why_not(nodes, units, groups, findings) | stuck, forwards


def _explore(
    net: paddle.nn.Layer, leaves: list[Leaf], example: Example, nodes: Nodes, modes: tuple[bool, ...]
) -> tuple[list[Findings], int]:
    """Probe evaluation, and training as well if what was found does not hold there."""
    evaluation = Probe(net, leaves, example, training=False)
    findings = [explore(evaluation, nodes)]
    if True not in modes:
        return findings, evaluation.forwards
    training = Probe(net, leaves, example, training=True)
    same = training.layout == evaluation.layout
    if not same or not holds(training, nodes, find_units(nodes, findings)):
        findings.append(explore(training, nodes))
    return findings, evaluation.forwards + training.forwards


def _example(net: paddle.nn.Layer, inputs: list[InputSpec], labels: np.ndarray | None) -> Example:
    """Return zeros of the declared shapes and types, and as many of a sample's labels."""
    if labels is None:
        return Example(zeros(inputs), {})
    return Example(
        zeros(inputs), labels_asked(net, len(inputs), labels[:1].repeat(inputs[0].shape[0], axis=0))
    )


def _widths_of_whole_groups(leaves: list[Leaf]) -> list[tuple[paddle.nn.Layer, str, int]]:
    """Return layers that lose whole groups of channels, their attribute, and channels per group."""
    found = []
    for leaf in leaves:
        if leaf.kind is Kind.DEPTHWISE or (leaf.kind is Kind.GROUPED and cuts_whole_groups(leaf)):
            found.append((leaf.layer, "_groups", int(leaf.layer.weight.shape[0]) // int(leaf.layer._groups)))
        elif leaf.kind is Kind.GROUP_NORM:
            width = int(leaf.layer._num_channels) // int(leaf.layer._num_groups)
            found.append((leaf.layer, "_num_groups", width))
    return found


def _put(tensor: paddle.Tensor, array: np.ndarray) -> None:
    """Give a tensor other values, and another shape, in place."""
    tensor.get_tensor().set(np.ascontiguousarray(array), paddle.framework._current_expected_place())
    if not tensor.stop_gradient:
        tensor.clear_gradient(set_to_zero=False)


def holds(probe: Probe, nodes: Nodes, units: Units) -> bool:
    """Whether no input depends on a unit that is not its own, and none that may go on channels that stay."""
    stays = np.isin(units.of_node, list(units.reasons))
    at = nodes.of_positions(probe.layout)
    words = _words_of_nodes(nodes, units, stays)
    for bit in words.T:
        changed = probe.changed(Sample.POSITIVE, _masks(nodes, bit))
        if (changed & ~bit[at])[:-1].any() or changed[probe.layout.output]:
            return False
    fixed = {INPUT: None, **_masks(nodes, stays)}
    fixed |= {index: None for index, leaf in enumerate(nodes.leaves) if leaf.kind is Kind.OPAQUE}
    changed = probe.changed(Sample.POSITIVE, fixed)
    return not (changed & ~stays[at])[:-1].any()


def _words_of_nodes(nodes: Nodes, units: Units, stays: np.ndarray) -> np.ndarray:
    """Return the word of every node's unit, zeros for one that stays: bool [nodes, bits].

    Parameters that tie nothing, since they reach all channels or the outputs, are not asked.
    """
    has_input = np.zeros(int(units.of_node.max()) + 1, bool)
    has_input[units.of_node[: nodes.first_out[0]]] = True
    going = has_input[units.of_node] & ~stays
    ids, index = np.unique(units.of_node[going], return_inverse=True)
    codes = code_words(max(len(ids), 1))
    words = np.zeros((len(going), codes.shape[1]), bool)
    words[going] = codes[index]
    return words


def _masks(nodes: Nodes, chosen: np.ndarray) -> dict[int, np.ndarray | None]:
    """Return the chosen output channels, leaf by leaf."""
    masks = {index: chosen[nodes.outs(index)] for index in range(len(nodes.leaves))}
    return {index: mask for index, mask in masks.items() if mask.any()}
