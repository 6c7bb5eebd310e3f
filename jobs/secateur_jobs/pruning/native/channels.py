"""Channel by channel: which channels of the producers does every input channel depend on?

Producers that no input sees together are run together (they have the same colour). Within a colour every
channel carries a code word; an input that shows one word depends on one channel, which is the usual case.
Inputs that show more are left to ``refine``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from secateur_jobs.pruning.native.ambiguous import Ambiguous
from secateur_jobs.pruning.native.codes import code_words, match, weight_of
from secateur_jobs.pruning.native.probe import Probe
from secateur_jobs.pruning.native.refine import refine
from secateur_jobs.pruning.native.stand_ins import Sample


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
    observed = _observe(probe, Sample.POSITIVE, words)
    for sample in (Sample.MIXED, Sample.LARGE):
        if not any(_hides(observed, words[leaf], reached) for leaf, reached in producers.items()):
            break
        observed |= _observe(probe, sample, words)
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


def _observe(probe: Probe, sample: Sample, words: dict[int, np.ndarray]) -> np.ndarray:
    runs = []
    for bit in range(max(w.shape[1] for w in words.values())):
        masks = {leaf: w[:, bit] for leaf, w in words.items() if bit < w.shape[1]}
        runs.append(probe.changed(sample, masks))
    return np.stack(runs)
