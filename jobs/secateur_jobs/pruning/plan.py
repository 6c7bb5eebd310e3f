"""From what a job asks for to one width per group, for any share of the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secateur_api.conditions import Reason
from secateur_api.results import Group
from secateur_api.spec import Pruning
from secateur_jobs.pruning.allocation.methods import METHODS
from secateur_jobs.pruning.allocation.problem import Budget, Problem, choice
from secateur_jobs.pruning.cost import CostModel
from secateur_jobs.pruning.curves import Curve
from secateur_jobs.pruning.widths import kept_width
from secateur_jobs.runtime.errors import MissingData


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
