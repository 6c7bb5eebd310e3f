"""Faults swept over whole jobs: whatever happens, the end state and the Jobs created are the same."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from secateur_api import PruningJobStatus
from secateur_operator.engine.reconciler import Reconciler
from secateur_operator.gateway.protocol import GatewayError, Key
from tests.control_plane.fake_cluster import FakeCluster
from tests.unit.control.jobs import START, all_well, document, drive
from tests.unit.control.scenarios import EVENTFUL, TROUBLED, Scenario

KEY = Key("default", "digits")


def end_state(status: PruningJobStatus) -> dict[str, Any]:
    """Return the status without points in time."""
    wire = status.to_wire()
    timed = ("startedAt", "finishedAt", "lastTransitionTime", "percent", "pausedSeconds")

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(inner) for key, inner in value.items() if key not in timed}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    result: dict[str, Any] = without(wire)
    return result


@cache
def undisturbed(name: str) -> FakeCluster:
    return next(one for one in (EVENTFUL, *TROUBLED) if one.name == name).play()


def assert_same(scenario: Scenario, cluster: FakeCluster) -> None:
    """Every Job is made as often as without the fault, no other Job is, and nothing else is deleted."""
    reference = undisturbed(scenario.name)
    assert end_state(cluster.status(KEY)) == end_state(reference.status(KEY))
    assert cluster.created == reference.created
    assert cluster.deleted == reference.deleted
    assert cluster.active_jobs(KEY) == []


def weak(dies: Callable[[int], bool]) -> type[FakeCluster]:
    """Return a cluster that ends the operator after each write that ``dies`` says."""

    class Weak(FakeCluster):
        def _written(self) -> None:
            self.cut_after = self.writes + 1 if dies(self.writes + 1) else None
            super()._written()

    return Weak


def of_many(dice: random.Random, *ages: int) -> Callable[[], int]:
    return lambda: dice.choice(ages)


# ---- what the scenarios are about ----


def test_the_eventful_one() -> None:
    cluster = undisturbed(EVENTFUL.name)
    status = cluster.status(KEY)
    assert status.phase.value == "Succeeded"
    assert [one.accepted for one in status.rounds] == [True, False, True, True, True]
    assert cluster.writes > 50
    assert cluster.deleted == []


@pytest.mark.parametrize("scenario", TROUBLED, ids=lambda one: one.name)
def test_the_troubled_ones_end_well(scenario: Scenario) -> None:
    cluster = undisturbed(scenario.name)
    status = cluster.status(KEY)
    assert status.phase.value == "Succeeded"
    assert status.run == scenario.runs
    for name in scenario.takes:
        assert any(f"-{name}-" in job for job in cluster.created), (name, cluster.created)
    repeated = [name for name in set(cluster.created) if cluster.created.count(name) > 1]
    assert [scenario.twice in name for name in repeated] == [True] * (scenario.twice is not None)


# ---- the sweeps ----


@pytest.mark.parametrize("cut", range(1, undisturbed(EVENTFUL.name).writes + 1))
def test_cut_after_every_write(cut: int) -> None:
    cluster = EVENTFUL.play(cut_after=cut)
    assert cluster.writes >= cut
    assert_same(EVENTFUL, cluster)


@pytest.mark.parametrize("scenario", TROUBLED, ids=lambda one: one.name)
def test_cut_after_every_write_in_trouble(scenario: Scenario) -> None:
    for cut in range(1, undisturbed(scenario.name).writes + 1):
        assert_same(scenario, scenario.play(cut_after=cut))


@pytest.mark.parametrize("scenario", [EVENTFUL, *TROUBLED], ids=lambda one: one.name)
def test_cut_after_each_third_write_of_one_life(scenario: Scenario) -> None:
    assert_same(scenario, scenario.play(weak(lambda write: write % 3 == 1)))


@pytest.mark.parametrize("seed", range(12))
def test_stale_reads(seed: int) -> None:
    """The resource and the Jobs are read up to five versions old, each by itself."""
    back = of_many(random.Random(seed), 0, 0, 1, 2, 5)
    assert_same(EVENTFUL, EVENTFUL.play(versions_back=back))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("scenario", TROUBLED, ids=lambda one: one.name)
def test_stale_reads_in_trouble(scenario: Scenario, seed: int) -> None:
    back = of_many(random.Random(seed), 0, 0, 1, 2, 5)
    assert_same(scenario, scenario.play(versions_back=back))


@pytest.mark.parametrize("seed", range(12))
def test_lost_events(seed: int) -> None:
    """Any subset of the changes is never heard of; resync finds what was missed."""
    dice = random.Random(seed)
    share = seed / 11
    assert_same(EVENTFUL, EVENTFUL.play(hears=lambda: dice.random() >= share, resync=30.0))


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("scenario", TROUBLED, ids=lambda one: one.name)
def test_lost_events_in_trouble(scenario: Scenario, share: float) -> None:
    dice = random.Random(3)
    assert_same(scenario, scenario.play(hears=lambda: dice.random() >= share, resync=30.0))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scenario", [EVENTFUL, *TROUBLED], ids=lambda one: one.name)
def test_everything_at_once(scenario: Scenario, seed: int) -> None:
    dice = random.Random(seed)
    cluster = scenario.play(
        weak(lambda _: dice.random() < 0.2),
        versions_back=of_many(dice, 0, 0, 0, 1, 3),
        hears=lambda: dice.random() < 0.5,
        resync=30.0,
    )
    assert_same(scenario, cluster)


def test_a_resource_read_late_never_ends_a_live_job() -> None:
    """Suspended, resumed, running again; a read from the time of the suspension must not delete the Job."""
    cluster = FakeCluster(all_well, START)
    cluster.apply(document())
    for spec in ({}, {"suspend": True}, {}):
        cluster.apply(document(**spec))
        with pytest.raises(AssertionError, match="did not end"):
            drive(cluster, KEY, limit=1)
    live, deleted = cluster.active_jobs(KEY), list(cluster.deleted)
    assert live
    for back in range(1, 12):
        ages = iter((back, 0))  # the resource is old, the list of Jobs is not
        cluster.versions_back = lambda ages=ages: next(ages)
        with contextlib.suppress(GatewayError):
            asyncio.run(Reconciler(cluster, lambda: cluster.now).reconcile(KEY))
        assert (cluster.active_jobs(KEY), cluster.deleted) == (live, deleted)
