"""Spread a cut over the groups: the widths that reach a target at the least predicted loss.

The predicted loss is the sum of the groups' own curves, as PaddleSlim and Li et al. (2017) assume, plus a
convex term for lost capacity (:data:`EVEN`). A greedy descent over aligned widths (most saved per loss, on
the lower convex hulls of the curves) comes under the budget; then whatever fits under it again is given
back, and pairs of groups exchange width as long as that lowers the predicted loss. Unlike a bisection over
one loss threshold, this ends within one aligned step of the target or says by its result that it cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from secateur_jobs.pruning.cost import CostModel
from secateur_jobs.pruning.curves import Curve
from secateur_jobs.pruning.widths import kept_width, ladder

EVEN = 2.0
"""Weight of the convex term ``r^2`` of each group.

Curves say little at both ends: at first they are flat (a few hundred samples resolve no small loss), and
near chance level they are flat again, where the loss of capacity is worst and no training brings it back.
Without this term the last part of a cut falls on a group that is ruined already.
"""
_EXCHANGES = 200
_ROUNDING = 1e-9  # of the whole cost: a target that is met exactly is met


@dataclass(frozen=True)
class Choice:
    """The widths that one group may take, widest first, and the predicted loss of each."""

    channels: int
    """Of the unpruned net; losses and costs are relative to it."""
    widths: tuple[int, ...]
    losses: tuple[float, ...]

    def kept(self, position: int) -> float:
        """Return the share of the channels that stays at a position."""
        return self.widths[position] / self.channels


def choice(channels: int, widest: int, cap: float, align: int, curve: Curve) -> Choice:
    """Return what a group may become: from ``widest`` (its width now) down to what the cap allows."""
    widths = ladder(widest, min(widest, kept_width(channels, cap, align)), align)
    ratios = [1 - width / channels for width in widths]
    return Choice(channels, tuple(widths), tuple(curve(r) + EVEN * r * r for r in ratios))


def allocate(
    choices: Mapping[str, Choice], fixed: Mapping[str, float], cost: CostModel, budget: float
) -> dict[str, int]:
    """Return a width for each group in ``choices`` so that the cost is at most ``budget``.

    ``fixed`` is the kept share of the groups whose width is settled. Where even the narrowest widths cost
    more than the budget, those are returned: the nearest that can be done.
    """
    plan = _Plan(choices, fixed, cost)
    budget += _ROUNDING * cost.total({})
    plan.descend(budget)
    if plan.cost() <= budget:
        plan.give_back(budget)
        plan.exchange(budget)
    return {name: choices[name].widths[position] for name, position in plan.positions.items()}


def least_cost(choices: Mapping[str, Choice], fixed: Mapping[str, float], cost: CostModel) -> float:
    """Return the cost at the narrowest allowed widths."""
    return cost.total({**fixed, **{name: c.kept(len(c.widths) - 1) for name, c in choices.items()}})


class _Plan:
    """A width for every group, and the moves between plans."""

    def __init__(self, choices: Mapping[str, Choice], fixed: Mapping[str, float], cost: CostModel) -> None:
        self._choices, self._fixed, self._cost = choices, fixed, cost
        self._hulls = {name: _lower_hull(c) for name, c in choices.items()}
        self.positions = dict.fromkeys(choices, 0)

    def kept(self) -> dict[str, float]:
        return {**self._fixed, **{n: self._choices[n].kept(p) for n, p in self.positions.items()}}

    def cost(self) -> float:
        return self._cost.total(self.kept())

    def descend(self, budget: float) -> None:
        """Narrow the group that saves most per loss, step by step, until the budget holds."""
        while (now := self.cost()) > budget:
            kept, best = self.kept(), None
            for name, position in self.positions.items():
                if position + 1 == len(self._choices[name].widths):
                    continue
                saved = now - self._cost.totals(kept, name, [self._choices[name].kept(position + 1)])[0]
                rise = self._hulls[name][position + 1] - self._hulls[name][position]
                if saved > 0 and (best is None or rise / saved < best[0]):
                    best = (rise / saved, name)
            if best is None:
                return
            self.positions[best[1]] += 1

    def give_back(self, budget: float) -> None:
        """Widen while the budget holds, the group that gains most first."""
        while True:
            kept, best = self.kept(), None
            for name, position in self.positions.items():
                if position == 0:
                    continue
                losses = self._choices[name].losses
                gain = losses[position] - losses[position - 1]
                wider = self._cost.totals(kept, name, [self._choices[name].kept(position - 1)])[0]
                if wider <= budget and (best is None or gain > best[0]):
                    best = (gain, name)
            if best is None:
                return
            self.positions[best[1]] -= 1

    def exchange(self, budget: float) -> None:
        """Widen one group by a step and narrow another as far as that takes, while the loss falls."""
        for _ in range(_EXCHANGES):
            best = max(
                (move for name in self.positions for move in self._exchanges_for(name, budget)),
                key=lambda move: move[0],
                default=None,
            )
            if best is None:
                return
            _, wider, narrower, position = best
            self.positions[wider] -= 1
            self.positions[narrower] = position
            self.give_back(budget)

    def _exchanges_for(self, wider: str, budget: float) -> list[tuple[float, str, str, int]]:
        """Return (gain, group to widen, group to narrow, its new position) for each exchange that gains."""
        position = self.positions[wider]
        if position == 0:
            return []
        losses = self._choices[wider].losses
        relief = losses[position] - losses[position - 1]
        kept = {**self.kept(), wider: self._choices[wider].kept(position - 1)}
        moves = []
        for name, start in self.positions.items():
            other = self._choices[name]
            if name == wider or start + 1 == len(other.widths):
                continue
            narrower = range(start + 1, len(other.widths))
            costs = self._cost.totals(kept, name, [other.kept(p) for p in narrower])
            fits = np.flatnonzero(costs <= budget)
            if len(fits):
                target = start + 1 + int(fits[0])
                gain = relief - (other.losses[target] - other.losses[start])
                if gain > 1e-9:
                    moves.append((gain, wider, name, target))
        return moves


def _lower_hull(option: Choice) -> list[float]:
    """Return the losses on the lower convex hull, so that a bump does not stop the descent."""
    x = [1 - width / option.channels for width in option.widths]
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            left = (option.losses[b] - option.losses[a]) * (x[i] - x[a])
            if left < (option.losses[i] - option.losses[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return list(np.interp(x, [x[i] for i in hull], [option.losses[i] for i in hull]))
