"""PruningJobs that run at a time have a limit: who waits says so, begins in its turn, and loses no budget."""

from __future__ import annotations

from typing import Any

from secateur_api.conditions import ConditionType, Phase, Reason
from secateur_operator.domain import conditions
from secateur_operator.gateway.kube.owners import Room
from tests.control_plane.fake_cluster import FakeCluster
from tests.unit.control.jobs import START, all_well, document, drive, pass_over


def named(name: str, **spec: Any) -> dict[str, Any]:
    found = document(**spec)
    found["metadata"].update(namespace="default", name=name)
    return found


def test_the_second_waits_says_so_and_follows() -> None:
    cluster = FakeCluster(all_well, START, room=Room(1))
    first, second = cluster.apply(named("first")), cluster.apply(named("later", budget={"wallClock": "10h"}))
    pass_over(cluster, first)
    pass_over(cluster, second)
    waiting = cluster.status(second)
    assert waiting.phase is Phase.PENDING
    assert conditions.reason(waiting, ConditionType.RECONCILING) == Reason.LIMIT_REACHED
    assert "1 PruningJobs of namespace default run" in waiting.message
    assert cluster.active_jobs(second) == []
    assert [event.reason for event in cluster.events].count("LimitReached") == 1
    cluster.tick(11 * 3600.0)  # longer than its budget
    pass_over(cluster, second)
    assert cluster.status(second) == waiting
    assert drive(cluster, first).phase is Phase.SUCCEEDED
    assert second in cluster.pending, "nobody woke it"
    ended = drive(cluster, second)
    assert ended.phase is Phase.SUCCEEDED
    assert ended.started_at is not None
    assert ended.started_at > (waiting.started_at or "")


def test_a_run_that_has_begun_goes_on_when_the_limit_is_lowered() -> None:
    cluster = FakeCluster(all_well, START)
    keys = [cluster.apply(named("one")), cluster.apply(named("two"))]
    for key in keys:
        pass_over(cluster, key)
    cluster.room = Room(1)
    for key in keys:
        cluster.room.heard(cluster.versions(key)[-1])
    assert [drive(cluster, key).phase for key in keys] == [Phase.SUCCEEDED] * 2
