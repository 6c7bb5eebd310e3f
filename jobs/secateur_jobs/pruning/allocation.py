"""Spread a cut over the groups: one width for each, so that every target is reached at little predicted loss.

The predicted loss is the sum of the groups' own curves, as PaddleSlim and Li et al. (2017) assume, plus a
convex term for lost capacity (:data:`widths.EVEN`). Each method takes a :class:`widths.Problem` and ends
within one aligned step of the targets; what is out of reach for the narrowest widths is out of reach for all.

``greedy`` goes down along the curves: it narrows what saves most per loss, then exchanges widths between
groups. It descends over the lower convex hulls of the losses, so that a bump in a curve does not stop it;
unlike a bisection over one loss threshold, it ends within one aligned step of the target. ``uniform`` takes
one ratio for all groups, as far as caps and alignment let each follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.results import Group
from secateur_api.spec import Allocation, Pruning
from secateur_jobs.pruning.cost import CostModel
from secateur_jobs.pruning.widths import Budget, Curve, Positions, Problem, choice, kept_width
from secateur_jobs.runtime.errors import MissingData

_PASSES = 20
_GAIN = 1e-9


def greedy(problem: Problem) -> Positions:
    """Return a plan that holds all budgets at little predicted loss, or the nearest where none holds them."""
    positions = descend(problem, problem.widest)
    if not problem.fits(positions):
        return positions
    return exchange(problem, give_back(problem, positions))


def descend(problem: Problem, positions: Positions) -> Positions:
    """Narrow by single steps the group that saves most per loss until all budgets hold, or nothing is left.

    What a step saves is counted in the budgets that do not hold yet, each relative to what is missing there.
    """
    hulls = np.concatenate([np.empty(0), *(_lower_hull(c.kept, c.losses) for c in problem.choices)])
    positions = positions.copy()
    while ((excess := problem.excess(positions)) > 0).any():
        kept = problem.kept_of(positions)
        change = problem.kept - kept[problem.group]
        saved = np.zeros(len(problem.kept))
        for budget, missing in zip(problem.budgets, excess, strict=True):
            if missing > 0:
                saved -= problem.change_of(budget, kept, change) / missing
        narrower = problem.first + np.minimum(positions + 1, problem.sizes - 1)
        rise = hulls[narrower] - hulls[problem.first + positions]
        useful = (positions + 1 < problem.sizes) & (saved[narrower] > 0)
        if not useful.any():
            return positions
        price = np.where(useful, rise / np.where(useful, saved[narrower], 1.0), np.inf)
        positions[int(np.argmin(price))] += 1
    return positions


def _lower_hull(kept: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Return the losses on the lower convex hull over the share that is cut."""
    x = 1 - kept
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            if (losses[b] - losses[a]) * (x[i] - x[a]) < (losses[i] - losses[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return np.interp(x, x[hull], losses[hull])


def uniform(problem: Problem) -> Positions:
    """Return the plan of the least common ratio that holds all budgets, or the nearest where none does.

    A group's ratio is rounded down to an aligned width. Of the groups that move at the last ratio, those that
    need not are left a step wider.
    """
    before, after = _around_the_least_ratio(problem)
    return give_back(problem, after, only=after > before)


def _around_the_least_ratio(problem: Problem) -> tuple[Positions, Positions]:
    """Return the plans just below and at the least ratio at which all budgets hold.

    At a ratio each group takes its narrowest width that does not cut more (the widest is always allowed).
    Where no ratio holds the budgets, both are the plan of the largest.
    """
    ratios = 1 - problem.kept
    steps = np.unique(ratios)

    def plan(step: int) -> Positions:
        if step < 0:
            return problem.widest
        allowed = ratios <= steps[step]
        return np.maximum(np.bincount(problem.group, allowed, len(problem.names)).astype(int) - 1, 0)

    below, at = -1, len(steps) - 1
    if problem.fits(problem.widest) or not problem.fits(plan(at)):
        end = problem.widest if problem.fits(problem.widest) else plan(at)
        return end, end
    while at - below > 1:
        middle = (below + at) // 2
        below, at = (below, middle) if problem.fits(plan(middle)) else (middle, at)
    return plan(below), plan(at)


def give_back(problem: Problem, positions: Positions, only: np.ndarray | None = None) -> Positions:
    """Widen by single steps while the budgets hold, the group that gains most first.

    ``only`` (one bool per group) names the groups that may be widened. Ends within one aligned step of a
    budget, or at the widest plan.
    """
    positions = positions.copy()
    while True:
        wider = problem.first + np.maximum(positions - 1, 0)
        free = (positions > 0) & problem.options_fit(positions)[wider]
        if only is not None:
            free &= only
        if not free.any():
            return positions
        gain = problem.losses[problem.first + positions] - problem.losses[wider]
        positions[int(np.argmax(np.where(free, gain, -np.inf)))] -= 1


def exchange(problem: Problem, positions: Positions) -> Positions:
    """Widen one group by a step and narrow another as far as that takes, while the loss falls.

    The groups are tried in turn, until none gains or ``_PASSES`` are over.
    """
    for _ in range(_PASSES):
        before = positions
        for group in range(len(problem.names)):
            if positions[group]:
                positions = _exchanged(problem, positions, group)
        if positions is before:
            break
    return positions


def _exchanged(problem: Problem, positions: Positions, wider: int) -> Positions:
    """Return the plan after the best exchange that widens a group, the same one if no exchange gains."""
    gain, option = _exchange_for(problem, positions, wider)
    if gain <= _GAIN:
        return positions
    positions = positions.copy()
    positions[wider] -= 1
    narrower = problem.group[option]
    positions[narrower] = option - problem.first[narrower]
    return give_back(problem, positions)


def _exchange_for(problem: Problem, positions: Positions, wider: int) -> tuple[float, int]:
    """Return (gain, option of another group that makes up for a step of ``wider``) of the best exchange."""
    moved = positions.copy()
    moved[wider] -= 1
    now = problem.losses[problem.first + positions]
    gain = now[wider] - problem.losses[problem.first[wider] + moved[wider]]
    gains = gain - (problem.losses - now[problem.group])
    usable = problem.options_fit(moved) & (problem.group != wider)
    best = int(np.argmax(np.where(usable, gains, -np.inf)))
    return (float(gains[best]) if usable[best] else 0.0), best


Method = Callable[[Problem], Positions]
"""Returns a plan that holds all budgets, or the nearest where the narrowest widths do not."""

METHODS: dict[Allocation, Method] = {Allocation.GREEDY: greedy, Allocation.UNIFORM: uniform}


def open_groups(groups: Sequence[Group]) -> list[Group]:
    """Return the groups whose ratio is to be found: no rule fixes it, and the cap leaves a narrower width."""
    return [g for g in groups if g.rule is None and kept_width(g.channels, g.cap, g.step) < g.channels]


def reachable(groups: Sequence[Group], cost: CostModel) -> float:
    """Return the largest share of the cost that rules, caps and alignment allow to cut, 0..1."""
    most = {g.name: g.cap if g.rule is None else g.rule for g in groups}
    least = {g.name: kept_width(g.channels, most[g.name], g.step) / g.channels for g in groups}
    return 1 - (cost.total(least) + cost.margin) / cost.total({})


def planned_widths(
    groups: Sequence[Group],
    now: Mapping[str, int],
    pruning: Pruning,
    share: float,
    curves: Mapping[str, Curve],
    costs: Mapping[str, CostModel],
) -> dict[str, int]:
    """Return the width of every group after ``share`` (0..1] of the whole plan.

    ``now`` are the widths that
    the last round left: none gets wider again. Rules are taken by their share, rounded down to aligned
    widths; the other groups make up for what is missing to each target's share, which may fall short where
    rules are the larger part of the plan. All ratios are of the unpruned widths. ``costs`` has one model per
    target.
    Raises MissingData if a group that is to be allocated has no curve.
    """
    settled = {g.name: now[g.name] for g in groups}
    for group in groups:
        if group.rule is not None:
            width = kept_width(group.channels, group.rule * share, group.step)
            settled[group.name] = min(now[group.name], width)
    targets = pruning.target.shares if pruning.target is not None else {}
    free = open_groups(groups) if targets else []
    missing = [g.name for g in free if g.name not in curves]
    if missing:
        raise MissingData(
            Reason.ARTIFACT_CORRUPT,
            f"the sensitivity stage left no curve for {', '.join(missing[:3])} ({len(missing)} in all)",
        )
    choices = {g.name: choice(g.channels, now[g.name], g.cap, g.step, curves[g.name]) for g in free}
    fixed = {g.name: settled[g.name] / g.channels for g in groups if g.name not in choices}
    budgets = [
        Budget(costs[name], costs[name].total({}) * (1 - wanted * share) - costs[name].margin)
        for name, wanted in targets.items()
    ]
    problem = Problem(choices, fixed, budgets)
    return {**settled, **problem.widths(METHODS[pruning.allocation](problem))}
