"""The widths that a group may take, what is lost at each, and what an allocation has to decide.

Kept widths are multiples of ``align`` (kernels work in blocks; depthwise widths off the block make Paddle
Lite slower than the uncut net). The limits on how much of one group may go are there because a plan is
ruined by one group that is cut to almost nothing, however flat its own sensitivity curve is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from secateur_api.results import Point
from secateur_jobs.pruning.cost import CostModel

MAX_RATIO = 0.75
"""Most that allocation cuts of one group; a rule in ``layers`` may ask for more."""
FLOOR = 1 / 8
"""At least this share of a group's channels stays, whatever a rule asks for."""


def kept_width(channels: int, ratio: float, align: int) -> int:
    """Return the width after cutting at most ``ratio`` of ``channels``: the ratio is rounded down.

    The result is a multiple of ``align``, at least ``align``, at least an eighth of the channels, and never
    more than ``channels`` (which need be no multiple).
    """
    wanted = max(channels * (1 - ratio), channels * FLOOR, 1)
    blocks = math.ceil(wanted / align - 1e-9)
    return min(channels, max(blocks, 1) * align)


def ladder(widest: int, narrowest: int, align: int) -> list[int]:
    """Return the widths from ``widest`` to ``narrowest``: itself, then multiples of ``align``."""
    first = (widest - 1) // align * align
    return [widest, *range(first, narrowest - 1, -align)] if narrowest < widest else [widest]


class Curve:
    """Loss over ratio: 0 at ratio 0, never falling, linear between the measured points.

    A measured loss below an earlier one is noise of the evaluation set (cutting more does not repair), so
    the curve is the running maximum; a negative loss counts as none. There is no extrapolation.
    """

    def __init__(self, points: Iterable[tuple[float, float]]) -> None:
        measured = sorted(points)
        self._ratios = np.array([0.0, *(ratio for ratio, _ in measured)])
        self._losses = np.maximum.accumulate([0.0, *(loss for _, loss in measured)])

    @property
    def end(self) -> float:
        """The largest measured ratio."""
        return float(self._ratios[-1])

    def __call__(self, ratio: float) -> float:
        """Return the loss at a ratio; beyond the end it is the last one."""
        return float(np.interp(ratio, self._ratios, self._losses))


def curves_of(points: Iterable[Point]) -> dict[str, Curve]:
    """Return one curve for each group that has points."""
    by_group: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        by_group.setdefault(point.group, []).append((point.ratio, point.loss))
    return {group: Curve(pairs) for group, pairs in by_group.items()}


EVEN = 2.0
"""Weight of the convex term ``r^2`` of each group.

Curves say little at both ends: at first they are flat (a few hundred samples resolve no small loss), and
near chance level they are flat again, where the loss of capacity is worst and no training brings it back.
Without this term the last part of a cut falls on a group that is ruined already.
"""
_ROUNDING = 1e-9  # of the whole cost: a target that is met exactly is met

Positions = np.ndarray
"""For each group the index of its width in ``Choice.widths``; int64, 0 is the widest."""


@dataclass(frozen=True)
class Choice:
    """The widths that one group may take, widest first, and what is lost at each."""

    channels: int
    """Of the unpruned net; losses and costs are relative to it."""
    widths: tuple[int, ...]
    curve: tuple[float, ...]
    """The measured curve at each width; never falls."""

    @property
    def kept(self) -> np.ndarray:
        """The share of the channels that stays at each width."""
        return np.array(self.widths) / self.channels

    @property
    def losses(self) -> np.ndarray:
        """The predicted loss at each width: the curve and the convex term; rises."""
        return np.array(self.curve) + EVEN * (1 - self.kept) ** 2


def choice(channels: int, widest: int, cap: float, align: int, curve: Curve) -> Choice:
    """Return what a group may become: from ``widest`` (its width now) down to what the cap allows."""
    widths = ladder(widest, min(widest, kept_width(channels, cap, align)), align)
    return Choice(channels, tuple(widths), tuple(curve(1 - width / channels) for width in widths))


@dataclass(frozen=True)
class Budget:
    """The most that a plan may cost of one quantity."""

    cost: CostModel
    limit: float


class Problem:
    """Groups with their choices, and all budgets over them; ``fixed`` is the kept share of settled groups.

    Every width of every group is an *option*; options are numbered through, group by group, widest first.
    """

    def __init__(
        self, choices: Mapping[str, Choice], fixed: Mapping[str, float], budgets: Sequence[Budget]
    ) -> None:
        self.names = tuple(choices)
        self.choices = tuple(choices.values())
        self.sizes = np.array([len(c.widths) for c in self.choices], int)
        self.first = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(int)
        """The first option of each group."""
        self.group = np.repeat(np.arange(len(self.names)), self.sizes)
        """The group of each option."""
        self.kept = np.concatenate([np.empty(0), *(c.kept for c in self.choices)])
        self.losses = np.concatenate([np.empty(0), *(c.losses for c in self.choices)])
        self.budgets = tuple(
            Budget(b.cost.over(self.names, fixed), b.limit + _ROUNDING * b.cost.total({})) for b in budgets
        )

    @property
    def widest(self) -> Positions:
        """The plan that cuts nothing further."""
        return np.zeros(len(self.names), int)

    @property
    def narrowest(self) -> Positions:
        """The plan that cuts all that is allowed: the cheapest, since no cost rises when a width falls."""
        return self.sizes - 1

    def kept_of(self, positions: Positions) -> np.ndarray:
        """Return the share of each group's channels that stays."""
        return self.kept[self.first + positions]

    def loss(self, positions: Positions) -> float:
        """Return the predicted loss of a plan."""
        return float(self.losses[self.first + positions].sum())

    def excess(self, positions: Positions) -> np.ndarray:
        """Return for each budget how far a plan's cost is above it; none is positive if the plan fits."""
        kept = self.kept_of(positions)
        return np.array([b.cost.value(kept) - b.limit for b in self.budgets])

    def fits(self, positions: Positions) -> bool:
        """Whether all budgets hold."""
        return bool((self.excess(positions) <= 0).all())

    def options_fit(self, positions: Positions) -> np.ndarray:
        """Return for each option whether all budgets hold when its group alone takes it."""
        kept = self.kept_of(positions)
        change = self.kept - kept[self.group]
        fits = np.ones(len(self.kept), bool)
        for budget in self.budgets:
            fits &= budget.cost.value(kept) + self.change_of(budget, kept, change) <= budget.limit
        return fits

    def change_of(self, budget: Budget, kept: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Return how the cost changes when an option's group alone changes its kept share by ``change``."""
        slope, bend = budget.cost.gradient(kept), np.diagonal(budget.cost.quadratic)
        return np.asarray(change * (slope[self.group] + change * bend[self.group]))

    def widths(self, positions: Positions) -> dict[str, int]:
        """Return the width of each group by name."""
        return {
            name: option.widths[position]
            for name, option, position in zip(self.names, self.choices, positions, strict=True)
        }
