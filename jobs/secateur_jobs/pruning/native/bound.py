"""Channels that are bound to positions: split, chunk, shuffle and slice send them by their number.

Which layers such a channel reaches depends on where it lies, so a cut cannot take just any: of every *bundle*
(units that take part in the same layers) as many must stay as the narrower net has. Those stay whose scores
are highest, and they take the places, and so the order, that the narrower net has for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import gcd

import numpy as np

from secateur_jobs.explain import RAISED
from secateur_jobs.pruning.engine import ChannelGroup, Slice, best_channels
from secateur_jobs.pruning.native.groups import (
    Signature,
    Units,
    families_of,
    first_out,
    members_of,
    norms_of,
    signature,
    slices_of,
)
from secateur_jobs.pruning.native.narrow import Narrowing, Parts, parts_of
from secateur_jobs.pruning.native.parameter_axes import Nodes

NO_WIDTH = "its channels go by position (split, shuffle or slice), and no narrower width fits"
_NEIGHBOURS = 8
"""How many widths are tried below the one that is asked for, before wider ones."""


@dataclass(frozen=True, eq=False)
class BoundGroup(ChannelGroup):
    """Units of several bundles whose widths go together."""

    bundle: np.ndarray
    """For each channel its bundle, int64."""
    parts: list[Parts]
    """For each channel what it has in every layer."""
    producer_widths: dict[int, int]
    """Leaf to its number of output channels, of all producers."""
    quota: Callable[[BoundGroup, int], np.ndarray | None]
    """Step to the number of units of every bundle at that width; None if it does not fit."""

    @property
    def steps(self) -> int:
        """How many widths there are: all producers keep the same share of their channels."""
        return gcd(*self.producer_widths.values())

    def widths(self, step: int) -> dict[int, int]:
        """Return the producers' widths at one step."""
        return {leaf: width // self.steps * step for leaf, width in self.producer_widths.items()}

    def choose(self, scores: np.ndarray, width: int) -> np.ndarray:
        """Keep the best of each bundle at the next step that fits: of ``width`` units or less, else more."""
        keep = np.ones(self.channels, bool)
        most = min(width * self.steps // self.channels, self.steps)
        below, above = range(most, max(most - _NEIGHBOURS, 0), -1), range(most + 1, self.steps)
        for step in (*below, *above) if width < self.channels else ():
            counts = self.quota(self, step) if step < self.steps else None
            if counts is not None:
                for number, count in enumerate(counts):
                    own = np.flatnonzero(self.bundle == number)
                    keep[own] = best_channels(scores[own], int(count))
                return keep
        return keep

    def step_of(self, keep: np.ndarray) -> int:
        """Return the step that a mask is for. Raises ValueError for one that :meth:`choose` did not make."""
        counts = np.bincount(self.bundle[keep], minlength=self.bundle.max() + 1)
        near = round(int(keep.sum()) * self.steps / self.channels)
        for step in sorted(range(1, self.steps), key=lambda s: abs(s - near))[:_NEIGHBOURS]:
            fits = self.quota(self, step)
            if fits is not None and np.array_equal(fits, counts):
                return step
        raise ValueError(
            f"the channels of {self.name} are bound to positions: this choice has no counterpart"
        )


class Quotas:
    """How many units of each bundle there are at a width: found by probing, once for each."""

    def __init__(self, narrowing: Narrowing) -> None:
        self._narrowing = narrowing
        self._known: dict[tuple[str, int], np.ndarray | None] = {}

    def __call__(self, group: BoundGroup, step: int) -> np.ndarray | None:
        """Return the number of units of every bundle, int64, or None if the net cannot have that width."""
        key = (group.name, step)
        if key not in self._known:
            self._known[key] = self._count(group, step)
        return self._known[key]

    def _count(self, group: BoundGroup, step: int) -> np.ndarray | None:
        numbers = {
            sizes_of(parts): int(number) for parts, number in zip(group.parts, group.bundle, strict=True)
        }
        available = np.bincount(group.bundle)
        try:
            narrow = self._narrowing.at(group.widths(step))
        except RAISED:  # the user's forward, at a width that it may not take
            return None
        found = Counter(sizes_of(parts_of(narrow.nodes, unit)) for unit in narrow.units)
        if not found.keys() <= numbers.keys():
            return None
        sides = {side for parts in group.parts for side in parts}
        if any(not len(narrow.nodes.side(side // 2, ("in", "out")[side % 2])) for side in sides):
            return None  # a layer would be left without channels
        counts = np.zeros(len(available), np.int64)
        for sizes, count in found.items():
            counts[numbers[sizes]] = count
        return counts if (counts <= available).all() else None


def bound_groups(
    nodes: Nodes, units: Units, narrowing: Narrowing
) -> tuple[list[ChannelGroup], dict[str, str]]:
    """Return the groups of channels that are bound to positions, and producers for which no width fits."""
    quota = Quotas(narrowing)
    groups: list[ChannelGroup] = []
    refused: dict[str, str] = {}
    for family in _families(nodes, units):
        group = _group(nodes, units, family, quota)
        half = group.choose(np.zeros(group.channels), group.channels // 2)
        if half.all():
            refused |= dict.fromkeys(group.producers, NO_WIDTH)
        else:
            groups.append(group)
    return groups, refused


def _families(nodes: Nodes, units: Units) -> list[list[int]]:
    """Return the units of producers whose channels take different ways, and of those that meet them."""
    members = members_of(nodes, units)
    of_unit = families_of(nodes, members)
    kinds: dict[int, set[Signature]] = {}
    read: dict[int, set[int]] = {}
    for unit, own in members.items():
        kinds.setdefault(of_unit[unit], set()).add(signature(nodes, own))
        inputs = own[own < nodes.first_out[0]]
        read.setdefault(of_unit[unit], set()).update(nodes.leaf_of[inputs].tolist())
    split = {family for family, found in kinds.items() if len(found) > 1}
    joined: list[set[int]] = [{family} for family in split]
    for family in kinds:
        meeting = [j for j in joined if any(read[family] & read[member] for member in j & split)]
        if meeting:
            joined = [j for j in joined if j not in meeting] + [set.union({family}, *meeting)]
    found = [[unit for unit in members if of_unit[unit] in j] for j in joined]
    return [own for own in found if _whole(nodes, members, own)]


def _whole(nodes: Nodes, members: dict[int, np.ndarray], family: list[int]) -> bool:
    """Whether all channels of the producers are free to go."""
    own = np.concatenate([members[unit] for unit in family])
    outs = own[own >= nodes.first_out[0]]
    return sum(len(nodes.outs(leaf)) for leaf in np.unique(nodes.leaf_of[outs]).tolist()) == len(outs)


def _group(nodes: Nodes, units: Units, family: list[int], quota: Quotas) -> BoundGroup:
    members = members_of(nodes, units)
    family = sorted(family, key=lambda unit: first_out(nodes, members[unit]))
    parts = [parts_of(nodes, members[unit]) for unit in family]
    kinds = list(dict.fromkeys(sizes_of(p) for p in parts))
    led = {side // 2 for p in parts for side in p if side % 2}
    producers = sorted(leaf for leaf in led if nodes.leaves[leaf].is_producer)
    slices: tuple[Slice, ...] = slices_of(nodes, units, producers[0], family)
    return BoundGroup(
        nodes.leaves[producers[0]].name,
        len(family),
        slices,
        norms=norms_of(nodes, units, family),
        bundle=np.asarray([kinds.index(sizes_of(p)) for p in parts]),
        parts=parts,
        producer_widths={leaf: nodes.leaves[leaf].out_width for leaf in producers},
        quota=quota,
    )


def sizes_of(parts: Parts) -> Signature:
    """Return how many channels of which layers a unit has."""
    return tuple((side, len(channels)) for side, channels in sorted(parts.items()))
