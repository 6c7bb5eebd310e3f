"""Widths for a share of the plan, what can be reached, and the points that this takes."""

from __future__ import annotations

from typing import Any

import pytest

from secateur_api.conditions import Reason
from secateur_api.results import Group
from secateur_api.spec import Pruning
from secateur_jobs.pruning.allocation import open_groups, planned_widths, reachable
from secateur_jobs.pruning.cost import CostModel, Part
from secateur_jobs.pruning.widths import Curve
from secateur_jobs.runtime.errors import MissingData


def group(
    name: str, channels: int = 64, cap: float = 0.75, rule: float | None = None, step: int = 8
) -> Group:
    return Group(name=name, channels=channels, producers=[name], consumers=[], cap=cap, rule=rule, step=step)


GROUPS = [group("ruled", rule=0.5), group("open"), group("capped", cap=0.1), group("tiny", channels=8)]
COST = CostModel([g.name for g in GROUPS], [Part(100, {g.name: 1}, {}) for g in GROUPS])
COSTS = {"macs": COST}
WHOLE = {g.name: g.channels for g in GROUPS}
CURVES = {"open": Curve([(0.5, 0.1), (0.75, 0.4)])}


def next_widths(*arguments: Any) -> dict[str, int]:
    return planned_widths(*arguments, COSTS)


def pruning(**fields: object) -> Pruning:
    return Pruning.model_validate({"target": {"macs": "25%"}, **fields})


def test_groups_are_open_if_no_rule_and_no_cap_settles_them():
    assert [g.name for g in open_groups(GROUPS)] == ["open"]
    finer = [g.model_copy(update={"step": 4}) for g in GROUPS]
    assert [g.name for g in open_groups(finer)] == ["open", "capped", "tiny"]


def test_what_can_be_reached_counts_rules_and_caps():
    assert reachable(GROUPS, COST) == pytest.approx((50 + 75) / 400)


def test_the_rule_is_taken_by_its_share_and_the_target_by_the_rest():
    half = next_widths(GROUPS, WHOLE, pruning(), 0.5, CURVES)
    assert half == {**WHOLE, "ruled": 48, "open": 48}
    whole = next_widths(GROUPS, half, pruning(), 1, CURVES)
    assert whole == {**WHOLE, "ruled": 32, "open": 32}


def test_every_target_is_reached():
    skew = CostModel([g.name for g in GROUPS], [Part(100, {"ruled": 1}, {}), Part(300, {"open": 1}, {})])
    both = pruning(target={"macs": "25%", "params": "55%"})
    plan = planned_widths(GROUPS, WHOLE, both, 1, CURVES, {"macs": COST, "params": skew})
    assert plan == {**WHOLE, "ruled": 32, "open": 24}  # 50 + 187.5 of 400


def test_widths_never_grow_from_round_to_round():
    narrow = {**WHOLE, "ruled": 16, "open": 24}
    assert next_widths(GROUPS, narrow, pruning(), 0.1, CURVES) == narrow


def test_without_a_target_only_rules_cut():
    rules = Pruning.model_validate({"layers": [{"match": "ruled", "ratio": 0.5}]})
    assert next_widths(GROUPS, WHOLE, rules, 1, {}) == {**WHOLE, "ruled": 32}


def test_an_open_group_without_a_curve_is_missing_data():
    with pytest.raises(MissingData, match="no curve for open") as caught:
        next_widths(GROUPS, WHOLE, pruning(), 1, {})
    assert caught.value.reason is Reason.ARTIFACT_CORRUPT
