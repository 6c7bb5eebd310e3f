"""What probing in one mode tells: who reaches whom, which channels belong together, and which must stay.

First layer by layer: which positions change when a layer's outputs do. Then channel by channel: producers
that no input sees together are run together (they have the same colour). Within a colour every channel
carries a code word; an input that shows one word depends on one channel, which is the usual case. Inputs that
show more are left to ``refine``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from secateur_jobs.pruning.native.codes import as_numbers, code_words, contained, match, weight_of
from secateur_jobs.pruning.native.leaves import Kind
from secateur_jobs.pruning.native.parameter_axes import Nodes
from secateur_jobs.pruning.native.probe import Probe
from secateur_jobs.pruning.native.refine import Ambiguous, observe, refine
from secateur_jobs.pruning.native.stand_ins import Sample


def find_reach(probe: Probe, sources: list[int]) -> np.ndarray:
    """Return which positions each source (index of a leaf, -1 for the input) reaches.

    bool [sources, positions]. Samples with other signs and sizes see what only positive values hide.
    """
    words = code_words(len(sources))
    reach = _reach(probe, sources, words)
    everyone = np.ones((len(sources), 1), bool)
    for sample, groups in ((Sample.MIXED, words), (Sample.LARGE, everyone)):
        predicted = np.stack([reach[members].any(axis=0) for members in groups.T])
        if (_seen_of(probe, sample, sources, groups) & ~predicted).any():
            reach |= np.stack([probe.changed(sample, {source: None}) for source in sources])
        probe.forget(sample)
    return reach


def _seen_of(probe: Probe, sample: Sample, sources: list[int], groups: np.ndarray) -> np.ndarray:
    """Disturb the sources of each column of ``groups`` together: bool [columns, positions]."""
    chosen = [dict.fromkeys(np.asarray(sources)[column].tolist()) for column in groups.T]
    return np.stack([probe.changed(sample, masks) for masks in chosen])


def _reach(probe: Probe, sources: list[int], words: np.ndarray) -> np.ndarray:
    reach = np.zeros((len(sources), probe.layout.size), bool)
    alone = list(range(len(sources)))
    if len(sources) > words.shape[1] + 2:  # else one run for each is as cheap
        alone = _sources_of(words, _seen_of(probe, Sample.POSITIVE, sources, words), reach)
    for index in alone:
        reach[index] |= probe.changed(Sample.POSITIVE, {sources[index]: None})
    return reach


def _sources_of(words: np.ndarray, observed: np.ndarray, reach: np.ndarray) -> list[int]:
    """Note in ``reach`` who is seen alone; return those who are seen together and must be run alone."""
    source = match(words, observed)
    known = np.flatnonzero(source >= 0)
    reach[source[known], known] = True
    unknown = np.flatnonzero((source < 0) & observed.any(axis=0))
    together = np.zeros(len(words), bool)
    _, first = np.unique(as_numbers(observed[:, unknown]), return_index=True)
    for column in unknown[first]:
        possible = contained(words, observed[:, column])
        together |= possible if possible.sum() > 1 else True
    return np.flatnonzero(together).tolist()


@dataclass(frozen=True, eq=False)
class Links:
    """Pairs of an output channel and a position that depends on it; three int arrays of equal length."""

    leaf: np.ndarray
    channel: np.ndarray
    position: np.ndarray

    def without(self, leaves: Iterable[int]) -> Links:
        """Return the links of all other leaves."""
        stay = ~np.isin(self.leaf, list(leaves))
        return Links(self.leaf[stay], self.channel[stay], self.position[stay])

    def mixes(self, leaf: int, width: int) -> bool:
        """Whether some position depends on all channels of a leaf."""
        mine = self.leaf == leaf
        if not mine.any():
            return False
        _, counts = np.unique(self.position[mine], return_counts=True)
        return bool(counts.max() >= width)


def find_links(probe: Probe, producers: dict[int, np.ndarray]) -> tuple[Links, dict[int, int]]:
    """Return all links of producers (leaf to the positions that it reaches: bool [positions]).

    Where all channels of a producer mix, the links say no more than that; the second value tells for each
    such producer a position where they do.
    """
    found: list[tuple[int, np.ndarray, np.ndarray]] = []
    mixed: dict[int, int] = {}
    for colour in _colours(producers):
        exact, ambiguous = _decode(probe, {leaf: producers[leaf] for leaf in colour})
        found += exact
        for leaf, (channels, positions, mixing) in refine(probe, ambiguous).items():
            found.append((leaf, channels, positions))
            if mixing is not None:
                mixed[leaf] = mixing
    leaves = [np.full(len(channels), leaf) for leaf, channels, _ in found]
    none = np.empty(0, np.int64)
    links = Links(
        np.concatenate([none, *leaves]),
        np.concatenate([none, *(channels for _, channels, _ in found)]),
        np.concatenate([none, *(positions for _, _, positions in found)]),
    )
    return links, mixed


def _colours(producers: dict[int, np.ndarray]) -> list[list[int]]:
    """Split producers so that no position sees two of the same list (greedy, most conflicts first)."""
    leaves = list(producers)
    reach = sparse.csr_matrix(np.stack(list(producers.values())).astype(np.int32)) if leaves else None
    meets = (reach @ reach.T).toarray() > 0 if reach is not None else np.zeros((0, 0), bool)
    colour: dict[int, int] = {}
    for index in np.argsort(-meets.sum(axis=1), kind="stable").tolist():
        taken = {colour[other] for other in np.flatnonzero(meets[index]).tolist() if other in colour}
        colour[index] = next(c for c in range(len(leaves)) if c not in taken)
    lists: dict[int, list[int]] = {}
    for index, number in colour.items():
        lists.setdefault(number, []).append(leaves[index])
    return list(lists.values())


def _decode(
    probe: Probe, producers: dict[int, np.ndarray]
) -> tuple[list[tuple[int, np.ndarray, np.ndarray]], list[Ambiguous]]:
    words = {leaf: code_words(probe.leaves[leaf].out_width) for leaf in producers}
    observed = observe(probe, Sample.POSITIVE, words)
    for sample in (Sample.MIXED, Sample.LARGE):
        if not any(_hides(observed, words[leaf], reached) for leaf, reached in producers.items()):
            break
        observed |= observe(probe, sample, words)
    exact: list[tuple[int, np.ndarray, np.ndarray]] = []
    ambiguous: list[Ambiguous] = []
    for leaf, reached in producers.items():
        positions = np.flatnonzero(reached)
        bits = observed[: words[leaf].shape[1], positions]
        channels = match(words[leaf], bits)
        clear = channels >= 0
        exact.append((leaf, channels[clear], positions[clear]))
        if not clear.all():
            ambiguous.append(Ambiguous(leaf, words[leaf], positions[~clear], bits[:, ~clear]))
    return exact, ambiguous


def _hides(observed: np.ndarray, words: np.ndarray, reached: np.ndarray) -> bool:
    """Whether an input shows less than a whole word: a change did not come through."""
    return bool((observed[: words.shape[1], reached].sum(axis=0) < weight_of(words)).any())


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
