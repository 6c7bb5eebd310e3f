"""From what a job asks for to one width per group, for any share of the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secateur_api.conditions import Reason
from secateur_api.results import Group
from secateur_api.spec import Pruning
from secateur_jobs.pruning.allocate import allocate, choice, least_cost
from secateur_jobs.pruning.cost import CostModel
from secateur_jobs.pruning.curves import Curve
from secateur_jobs.pruning.widths import kept_width
from secateur_jobs.runtime.errors import MissingData

_FLAT = Curve([])


def open_groups(groups: Sequence[Group], align: int) -> list[Group]:
    """Return the groups whose ratio is to be found: no rule fixes it, and the cap leaves a narrower width."""
    return [g for g in groups if g.rule is None and kept_width(g.channels, g.cap, align) < g.channels]


def reachable(groups: Sequence[Group], align: int, cost: CostModel) -> float:
    """Return the largest share of the cost that rules, caps and alignment allow to cut, 0..1."""
    fixed = {g.name: kept_width(g.channels, g.rule, align) / g.channels for g in groups if g.rule is not None}
    choices = {
        g.name: choice(g.channels, g.channels, g.cap, align, _FLAT) for g in open_groups(groups, align)
    }
    return 1 - least_cost(choices, fixed, cost) / cost.total({})


def next_widths(
    groups: Sequence[Group],
    now: Mapping[str, int],
    pruning: Pruning,
    share: float,
    curves: Mapping[str, Curve],
    cost: CostModel,
) -> dict[str, int]:
    """Return the width of every group after ``share`` (0..1] of the whole plan.

    ``now`` are the widths that the last round left: none gets wider again. Rules are taken by their share,
    rounded down to aligned widths; the other groups make up for what is missing to the target's share, which
    may fall short where rules are the larger part of the plan. All ratios are of the unpruned widths.
    Raises MissingData if a group that is to be allocated has no curve.
    """
    widths = {g.name: now[g.name] for g in groups}
    for group in groups:
        if group.rule is not None:
            settled = kept_width(group.channels, group.rule * share, pruning.align)
            widths[group.name] = min(now[group.name], settled)
    if pruning.target is None:
        return widths
    candidates = open_groups(groups, pruning.align)
    missing = [g.name for g in candidates if g.name not in curves]
    if missing:
        raise MissingData(
            Reason.ARTIFACT_CORRUPT,
            f"the sensitivity stage left no curve for {', '.join(missing[:3])} ({len(missing)} in all)",
        )
    names = {g.name for g in candidates}
    choices = {
        g.name: choice(g.channels, now[g.name], g.cap, pruning.align, curves[g.name]) for g in candidates
    }
    fixed = {g.name: widths[g.name] / g.channels for g in groups if g.name not in names}
    budget = cost.total({}) * (1 - pruning.target.fraction * share)
    return widths | allocate(choices, fixed, cost, budget)
