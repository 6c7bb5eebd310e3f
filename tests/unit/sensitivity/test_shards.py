"""How processes share the points: all of them once, and so that the longest is short."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur_jobs.pruning.sensitivity.points import MASKING, RECORDING, Wanted, cost, deal

DEPTHWISE = {"a": 0.80, "b": 0.56, "c": 0.37, "d": 0.03, "e": 0.002}
RESIDUAL = {"a": 0.95, "b": 0.80, "c": 0.54, "d": 0.35, "e": 0.23, "f": 0.006}
"""Both measured on the nets of the benchmark."""


def points_of(behind: dict[str, float], ratios: int = 9) -> list[Wanted]:
    return [(group, 0.1 * (number + 1)) for group in behind for number in range(ratios)]


depths = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(
    lambda shares: {f"g{i}": share for i, share in enumerate(shares)}
)


@given(depths, st.integers(1, 9), st.integers(1, 20))
def test_all_points_are_taken_once_and_no_process_has_much_more_than_its_share(
    behind: dict[str, float], ratios: int, shards: int
) -> None:
    points = points_of(behind, ratios)
    parts = deal(points, behind, shards)
    assert len(parts) == shards
    assert sorted(point for part in parts for point in part) == sorted(points)
    replays = sum(behind[group] + MASKING for group, _ in points)
    longest = max(cost(part, behind) for part in parts)
    assert longest <= replays / shards + RECORDING + 1 + MASKING + 1e-9
    assert longest <= cost(points, behind) + 1e-9


@given(depths, st.integers(1, 20))
def test_cuts_of_one_group_stand_side_by_side_and_their_ratios_ascend(
    behind: dict[str, float], shards: int
) -> None:
    for part in deal(points_of(behind), behind, shards):
        names = [group for group, _ in part]
        assert names == sorted(names, key=names.index)
        for name in set(names):
            ratios = [ratio for group, ratio in part if group == name]
            assert ratios == sorted(ratios)


@pytest.mark.parametrize(("behind", "dealt", "in_turn"), [(RESIDUAL, 3.7, 3.4), (DEPTHWISE, 3.4, 3.2)])
def test_four_processes_are_predicted_to_be_faster_than_with_every_fourth_point(
    behind: dict[str, float], dealt: float, in_turn: float
) -> None:
    points = points_of(behind)
    one = cost(points, behind)
    assert one / max(cost(part, behind) for part in deal(points, behind, 4)) > dealt
    assert one / max(cost(points[shard::4], behind) for shard in range(4)) < in_turn


def test_the_first_process_has_few_dear_points_and_the_last_one_many_cheap_ones() -> None:
    parts = deal(points_of(DEPTHWISE), DEPTHWISE, 4)
    assert {group for group, _ in parts[0]} == {"a"}
    assert {"d", "e"} <= {group for group, _ in parts[3]}
    assert len(parts[0]) < len(parts[3])


def test_groups_of_one_depth_are_shared_by_their_number() -> None:
    behind = dict.fromkeys(["a", "b", "c"], 1.0)  # a table without depths
    assert [len(part) for part in deal(points_of(behind, 4), behind, 4)] == [3, 3, 3, 3]


def test_the_order_of_the_depths_does_not_matter() -> None:
    points = points_of(DEPTHWISE)
    shuffled = random.Random(0).sample(sorted(DEPTHWISE.items()), len(DEPTHWISE))
    assert deal(points, dict(shuffled), 4) == deal(points, DEPTHWISE, 4)


@pytest.mark.parametrize("shards", [1, 20])
def test_no_points_are_no_fault(shards: int) -> None:
    assert deal([], {}, shards) == [[] for _ in range(shards)]


def test_with_fewer_points_than_processes_some_have_none() -> None:
    behind = {"a": 0.5}
    parts = deal([("a", 0.1), ("a", 0.2)], behind, 5)
    assert sorted(map(len, parts)) == [0, 0, 0, 1, 1]
