"""Inputs that depend on several channels of one producer: on which?

Whatever is found is a superset of the truth, so that at worst channels are tied that need not be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secateur_jobs.pruning.native.codes import contained, weight_of
from secateur_jobs.pruning.native.probe import Probe
from secateur_jobs.pruning.native.stand_ins import Sample

_BLOCKS = 8
_MOST_RUNS = 512
"""Wider producers are taken to mix all channels unless blocks say more."""


@dataclass(frozen=True, eq=False)
class Ambiguous:
    """What is to be found out about one producer."""

    leaf: int
    words: np.ndarray
    """bool [channels, bits]."""
    positions: np.ndarray
    seen: np.ndarray
    """What these positions showed: bool [bits, positions]."""

    @property
    def width(self) -> int:
        """Number of channels."""
        return len(self.words)


Refined = dict[int, tuple[np.ndarray, np.ndarray, "int | None"]]
"""Leaf to channels, positions, and the position where all channels mix."""


def refine(probe: Probe, ambiguous: list[Ambiguous]) -> Refined:
    """Return links for the positions of ``ambiguous`` producers, no two of which meet anywhere."""
    mixing = _all_mixing(probe, ambiguous)
    rest = [a for a in ambiguous if a.leaf not in mixing]
    exact = _one_by_one(probe, rest)
    refined: Refined = {}
    for each in ambiguous:
        if each.leaf in mixing:
            refined[each.leaf] = (*_tie_all(each), int(each.positions[0]))
        else:
            channels, columns = np.nonzero(_candidates(each) & exact[each.leaf])
            refined[each.leaf] = (channels, each.positions[columns], None)
    return refined


def _all_mixing(probe: Probe, ambiguous: list[Ambiguous]) -> set[int]:
    """Return producers every block of whose channels reaches all the positions in question."""
    masks = [
        {a.leaf: np.arange(a.width) * _BLOCKS // a.width == block for a in ambiguous if a.width >= _BLOCKS}
        for block in range(_BLOCKS)
    ]
    if not ambiguous or not masks[0]:
        return set()
    runs = np.stack([probe.changed(Sample.POSITIVE, mask) for mask in masks])
    too_wide = {a.leaf for a in ambiguous if a.width > _MOST_RUNS}
    return too_wide | {a.leaf for a in ambiguous if a.leaf in masks[0] and runs[:, a.positions].all()}


def _one_by_one(probe: Probe, ambiguous: list[Ambiguous]) -> dict[int, np.ndarray]:
    """Disturb one channel of each producer at a time: leaf to bool [channels, positions in question]."""
    found = {a.leaf: np.zeros((a.width, len(a.positions)), bool) for a in ambiguous}
    for channel in range(max((a.width for a in ambiguous), default=0)):
        masks = {a.leaf: np.arange(a.width) == channel for a in ambiguous if channel < a.width}
        for sample in (Sample.POSITIVE, Sample.MIXED):
            changed = probe.changed(sample, masks)
            for a in ambiguous:
                if channel < a.width:
                    found[a.leaf][channel] |= changed[a.positions]
    return found


def _candidates(each: Ambiguous) -> np.ndarray:
    """Return which channels' words fit what was seen: bool [channels, positions].

    Where too little was seen, all do.
    """
    weight = weight_of(each.words)
    patterns, inverse = np.unique(each.seen, axis=1, return_inverse=True)
    fits = np.ones((each.width, patterns.shape[1]), bool)
    for column, pattern in enumerate(patterns.T):
        if pattern.sum() >= weight:
            fits[:, column] = contained(each.words, pattern)
    return fits[:, inverse.reshape(-1)]


def _tie_all(each: Ambiguous) -> tuple[np.ndarray, np.ndarray]:
    """Return the fewest links that tie all channels and positions into one."""
    spread = np.full(len(each.positions), 0)
    channels = np.concatenate([spread, np.arange(each.width)])
    positions = np.concatenate([each.positions, np.full(each.width, each.positions[0])])
    return channels, positions
