"""Does what was found in one mode hold in another? A dozen forward passes tell.

Every unit that may go gets a code word of constant weight, and all its channels are disturbed in the runs of
its bits. An input that depends on no other unit shows no bit that its own unit's word lacks; one that does,
shows one, since no word is part of another.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.pruning.native.codes import code_words
from secateur_jobs.pruning.native.findings import INPUT
from secateur_jobs.pruning.native.leaves import Kind
from secateur_jobs.pruning.native.nodes import Nodes
from secateur_jobs.pruning.native.probe import Probe
from secateur_jobs.pruning.native.stand_ins import Sample
from secateur_jobs.pruning.native.units import Units


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
