"""Faults swept over whole jobs: whatever happens, the end state and the Jobs created are the same."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import pytest

from secateur_api import PruningJobStatus, Stage
from secateur_operator.domain.plan import StageJob
from secateur_operator.engine.reconciler import Reconciler
from secateur_operator.gateway.fake import FakeCluster, ShardEnd
from secateur_operator.gateway.protocol import GatewayError
from tests import outcomes
from tests.unit.control.jobs import START, all_well, document, done, drive

SPEC: dict[str, Any] = {"sensitivity": {"shards": 2}, "constraints": [{"metric": "speedup", "min": "1.2x"}]}


def eventful(wanted: StageJob, index: int) -> ShardEnd:
    """A retry, a roll-back, and a good end."""
    if wanted.stage is Stage.PREFLIGHT and wanted.attempt == 1:
        return ShardEnd(137, None)
    bad = wanted.stage is Stage.ROUND and wanted.input.round.number == 2
    request = wanted.input.model_copy(update={"shard": index})
    return done(outcomes.summary(request, drop=0.2 if bad else 0.001))


def end_state(status: PruningJobStatus) -> dict[str, Any]:
    """Return the status without points in time."""
    wire = status.to_wire()
    timed = ("startedAt", "finishedAt", "lastTransitionTime", "percent")

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(inner) for key, inner in value.items() if key not in timed}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    result: dict[str, Any] = without(wire)
    return result


def undisturbed() -> FakeCluster:
    cluster = FakeCluster(eventful, START)
    drive(cluster, cluster.apply(document(**SPEC)))
    return cluster


REFERENCE = undisturbed()
KEY = next(iter(REFERENCE._history))


def assert_same(cluster: FakeCluster) -> None:
    assert end_state(cluster.status(KEY)) == end_state(REFERENCE.status(KEY))
    # every Job once, no other Job, nothing that lived deleted
    assert cluster.created == REFERENCE.created
    assert cluster.deleted == []


def test_the_reference_is_eventful() -> None:
    status = REFERENCE.status(KEY)
    assert status.phase.value == "Succeeded"
    assert [one.accepted for one in status.rounds] == [True, False, True, True, True]
    assert REFERENCE.writes > 50


@pytest.mark.parametrize("cut", range(1, REFERENCE.writes + 1))
def test_cut_after_every_write(cut: int) -> None:
    cluster = FakeCluster(eventful, START, cut_after=cut)
    cluster.apply(document(**SPEC))
    drive(cluster, KEY)
    assert cluster.writes >= cut
    assert_same(cluster)


def test_cut_after_each_of_many_writes_in_one_life() -> None:
    """A machine that ends the operator after every third write."""

    class Weak(FakeCluster):
        def _written(self) -> None:
            self.cut_after = self.writes + 1 if self.writes % 3 == 0 else None
            super()._written()

    cluster = Weak(eventful, START)
    cluster.apply(document(**SPEC))
    drive(cluster, KEY)
    assert_same(cluster)


@pytest.mark.parametrize("seed", range(12))
def test_stale_reads(seed: int) -> None:
    """The resource and the Jobs are read up to five versions old, each by itself."""
    dice = random.Random(seed)
    cluster = FakeCluster(eventful, START, versions_back=lambda: dice.choice((0, 0, 1, 2, 5)))
    cluster.apply(document(**SPEC))
    drive(cluster, KEY)
    assert_same(cluster)


@pytest.mark.parametrize("seed", range(12))
def test_lost_events(seed: int) -> None:
    """Any subset of the changes is never heard of; resync finds what was missed."""
    dice = random.Random(seed)
    share = seed / 11
    cluster = FakeCluster(eventful, START)
    cluster.apply(document(**SPEC))
    drive(cluster, KEY, hears=lambda: dice.random() >= share, resync=30.0)
    assert_same(cluster)


@pytest.mark.parametrize("seed", range(10))
def test_everything_at_once(seed: int) -> None:
    dice = random.Random(seed)

    class Weak(FakeCluster):
        def _written(self) -> None:
            self.cut_after = self.writes + 1 if dice.random() < 0.2 else None
            super()._written()

    cluster = Weak(eventful, START, versions_back=lambda: dice.choice((0, 0, 0, 1, 3)))
    cluster.apply(document(**SPEC))
    drive(cluster, KEY, hears=lambda: dice.random() < 0.5, resync=30.0)
    assert_same(cluster)


@pytest.mark.parametrize("cut", range(1, 60, 5))
def test_a_changed_spec_with_a_cut(cut: int) -> None:
    """Cut while a spec changes in mid-flight: the old run's Job is ended once, the new run is whole."""
    cluster = FakeCluster(all_well, START, cut_after=cut)
    cluster.apply(document(**SPEC))
    with pytest.raises(AssertionError, match="did not end"):
        drive(cluster, KEY, limit=12)
    cluster.apply(document(**SPEC, seed=1))
    status = drive(cluster, KEY)
    assert (status.phase.value, status.run) == ("Succeeded", 2)
    assert len(cluster.created) == len(set(cluster.created))
    assert cluster.active_jobs(KEY) == []
    assert len(cluster.deleted) <= 1


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
