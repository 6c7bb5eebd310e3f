"""Inputs that depend on several channels of one producer: on which?

Whatever is found is a superset of the truth, so that at worst channels are tied that need not be.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.pruning.native.ambiguous import Ambiguous
from secateur_jobs.pruning.native.blocks import find_blocks
from secateur_jobs.pruning.native.probe import Probe
from secateur_jobs.pruning.native.stand_ins import Sample

_BLOCKS = 8
_MOST_RUNS = 512
"""Wider producers are taken to mix all channels unless they act in blocks."""


Refined = dict[int, tuple[np.ndarray, np.ndarray, "int | None"]]
"""Leaf to channels, positions, and the position where all channels mix."""


def refine(probe: Probe, ambiguous: list[Ambiguous]) -> Refined:
    """Return links for the positions of ``ambiguous`` producers, no two of which meet anywhere."""
    mixing = _all_mixing(probe, ambiguous)
    depends = find_blocks(probe, [a for a in ambiguous if a.leaf not in mixing])
    rest = [a for a in ambiguous if a.leaf not in mixing and a.leaf not in depends]
    depends |= _one_by_one(probe, [a for a in rest if a.width <= _MOST_RUNS])
    refined: Refined = {}
    for each in ambiguous:
        if each.leaf in depends:
            channels, columns = np.nonzero(each.candidates() & depends[each.leaf])
            refined[each.leaf] = (channels, each.positions[columns], None)
        else:
            refined[each.leaf] = (*_tie_all(each), int(each.positions[0]))
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
    return {a.leaf for a in ambiguous if a.leaf in masks[0] and runs[:, a.positions].all()}


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


def _tie_all(each: Ambiguous) -> tuple[np.ndarray, np.ndarray]:
    """Return the fewest links that tie all channels and positions into one."""
    spread = np.full(len(each.positions), 0)
    channels = np.concatenate([spread, np.arange(each.width)])
    positions = np.concatenate([each.positions, np.full(each.width, each.positions[0])])
    return channels, positions
