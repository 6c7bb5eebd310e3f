"""What it takes to prune: groups of channels that go together, and someone who can cut them.

Criteria, allocation, proof, repair and rounds know only what is here, not who found the groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    from secateur_jobs.paddle_env import paddle

Role = Literal["out", "in", "other"]
Keep = Mapping[str, np.ndarray]
"""Group name to a boolean array of ``channels`` entries: True stays."""


@dataclass(frozen=True, eq=False)
class Slice:
    """One axis of one parameter that a group's channels run along."""

    layer: str
    """Structured name of the owning layer."""
    parameter: str
    """Attribute name in that layer: ``weight``, ``bias``, ``_mean`` ..."""
    axis: int
    owner: np.ndarray
    """For each position of the axis the channel it belongs to, -1 for none; int64."""
    role: Role
    """``out``: a producer's output channels; ``in``: a consumer's input channels; ``other``: tied."""

    def kept(self, keep: np.ndarray) -> np.ndarray:
        """Return which positions of the axis stay when ``keep`` (one bool per channel) stays."""
        return positions_kept(self.owner, keep)


@dataclass(frozen=True, eq=False)
class NormedAxis:
    """A layer normalisation that takes mean and variance over a group's channels, alone or among others.

    A removed channel must not count in them, so the layer gives the kept channels other values than before.
    """

    layer: str
    """Structured name."""
    owner: np.ndarray
    """For each position that it normalises over the channel it belongs to, -1 for none; int64."""


def positions_kept(owner: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Return which positions stay, those that are nobody's (-1) included; bool."""
    return (owner < 0) | keep[np.maximum(owner, 0)]


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that can only be cut together."""

    name: str
    """Structured name of the leading producer; ``name#1``, ``name#2`` for the next ones that it leads."""
    channels: int
    slices: tuple[Slice, ...]
    norms: tuple[NormedAxis, ...] = field(default=(), kw_only=True)
    producers: tuple[str, ...] = field(init=False)
    """Layers whose output channels belong to the group, the leader first."""
    consumers: tuple[str, ...] = field(init=False)
    """Layers whose input channels follow."""
    others: tuple[str, ...] = field(init=False)
    """Normalisations, depthwise convolutions and the like."""

    def __post_init__(self) -> None:
        by_role = {
            role: dict.fromkeys(s.layer for s in self.slices if s.role == role) for role in ("out", "in")
        }
        leader = self.name if self.name in by_role["out"] else self.name.rpartition("#")[0] or self.name
        producers = [name for name in by_role["out"] if name != leader]
        taken = {*by_role["out"], *by_role["in"]}
        tied = [*(s.layer for s in self.slices if s.role == "other"), *(norm.layer for norm in self.norms)]
        others = dict.fromkeys(name for name in tied if name not in taken)
        object.__setattr__(self, "producers", (leader, *producers))
        object.__setattr__(self, "consumers", tuple(by_role["in"]))
        object.__setattr__(self, "others", tuple(others))

    def slices_of(self, role: Role) -> list[Slice]:
        """Return the slices with a role."""
        return [s for s in self.slices if s.role == role]

    def step(self, align: int) -> int:
        """Return how many channels make up ``align`` positions of the tensors that hold least of each.

        A channel that is a head or a whole group of a grouped convolution is many positions everywhere.
        """
        least = min(int((s.owner >= 0).sum()) // self.channels for s in self.slices)
        return math.ceil(align / max(least, 1))

    def choose(self, scores: np.ndarray, width: int) -> np.ndarray:
        """Return a mask that keeps the ``width`` channels with the highest scores.

        A group whose channels are bound to positions keeps the best of each position, at the next width that
        fits (all of them, if none does): take the width from the mask.
        """
        return best_channels(scores, width)


def first_channels(groups: Iterable[ChannelGroup], widths: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Return masks that leave each group the first channels, as many as ``widths`` says by its name."""
    return {
        group.name: group.choose(-np.arange(group.channels, dtype=float), widths[group.name])
        for group in groups
        if widths.get(group.name, group.channels) < group.channels
    }


def norms_kept(groups: Iterable[ChannelGroup], keep: Keep) -> dict[str, np.ndarray]:
    """Return for each layer normalisation over channels of the cut groups which of its positions stay."""
    found: dict[str, np.ndarray] = {}
    for group in groups:
        for norm in group.norms if group.name in keep else ():
            stays = positions_kept(norm.owner, np.asarray(keep[group.name], bool))
            found[norm.layer] = found.get(norm.layer, True) & stays
    return found


def best_channels(scores: np.ndarray, width: int) -> np.ndarray:
    """Return a mask that keeps the ``width`` highest scores; of equal ones the later stay."""
    keep = np.ones(len(scores), bool)
    keep[np.argsort(scores, kind="stable")[: len(scores) - width]] = False
    return keep


class PruningEngine(Protocol):
    """Finds the groups of one net and cuts them. One engine belongs to one net."""

    name: str
    net: paddle.nn.Layer
    groups: list[ChannelGroup]
    """In the order of their leaders in the net."""
    reasons: dict[str, str]
    """Why not, for layers with output channels of their own that are in no group."""
    training_unseen: bool
    """Whether training could not be looked at, for want of labels: the net must not be cut so."""

    def cut(self, keep: Keep) -> None:
        """Cut groups out of the whole net, all at once; undone by :meth:`restore`. Call it once."""

    def restore(self) -> None:
        """Undo the cut, bit for bit."""

    def freeze(self) -> None:
        """Make the cut final: no backups are left, layers describe their new widths. The engine is spent."""
