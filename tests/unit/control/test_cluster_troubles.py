"""What a cluster does to a job: waits, refusals, lost messages, retried pods, changes while it runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from secateur_api import PruningJobStatus, Stage
from secateur_api.conditions import ConditionType, Phase, Reason
from secateur_api.spec import Store
from secateur_operator.domain.decide import decide
from secateur_operator.domain.decision import Create, Decision, Delete
from secateur_operator.domain.observed import (
    Defaults,
    JobState,
    Observed,
    ObservedJob,
    ObservedShard,
    Trouble,
)
from secateur_operator.domain.plan import StageJob, stage_job
from secateur_operator.domain.start import resolve
from secateur_operator.engine.reconciler import Reconciler
from tests.control_plane.fake_cluster import FakeCluster, ShardEnd
from tests.unit.control.jobs import START, all_well, document, drive, job

DEFAULTS = Defaults(Store(claim="artifacts"), image="stages:1")
GPU = [{"gpu": 1, "gpuWait": "10m"}]


def started(**spec: Any) -> PruningJobStatus:
    """Return the status after the first pass: the first stage's Job is being made."""
    return decide(Observed(job(**spec), (), DEFAULTS), START).status


def child(status: PruningJobStatus, state: JobState = JobState.PENDING, **fields: Any) -> ObservedJob:
    assert status.stage is not None
    wanted: dict[str, Any] = {
        "name": status.stage.job,
        "uid": "j-1",
        "run": status.run,
        "state": state,
        "shards": (ObservedShard(0, state),),
        "created_at": status.stage.started_at,
        **fields,
    }
    return ObservedJob(**wanted)


def step(status: PruningJobStatus, *children: ObservedJob, after: float = 1.0, **spec: Any) -> Decision:
    return decide(Observed(job(status, **spec), children, DEFAULTS), START + timedelta(seconds=after))


def created(decision: Decision) -> list[StageJob]:
    return [action.job for action in decision.actions if isinstance(action, Create)]


def reason(status: PruningJobStatus, kind: ConditionType = ConditionType.RECONCILING) -> str:
    return next(one.reason for one in status.conditions if one.type is kind)


def test_a_spec_gets_the_operators_store_and_image_and_keeps_them() -> None:
    status = started()
    assert status.resolved_spec is not None
    assert status.resolved_spec["store"] == {"claim": "artifacts"}
    assert status.resolved_spec["image"] == "stages:1"
    upgraded = Defaults(Store(claim="other"), image="stages:2")
    again = decide(Observed(job(status), (), upgraded), START).status
    assert again.run == 1
    assert again.resolved_spec == status.resolved_spec
    assert created(decide(Observed(job(status), (), upgraded), START))[0].input.store == "file:///store"


def test_without_any_store_the_job_fails_and_says_where_to_name_one() -> None:
    status = decide(Observed(job(), (), Defaults(None)), START).status
    assert status.phase is Phase.FAILED
    assert reason(status, ConditionType.STALLED) == "InvalidSpec"
    assert status.message.startswith("spec.store: ")


def test_a_waiting_job_says_why_and_stops_saying_so_when_it_runs() -> None:
    status = started()
    trouble = Trouble(Reason.IMAGE_UNAVAILABLE, "image x:1 cannot be pulled; name one that exists")
    waiting = step(status, child(status, trouble=trouble))
    assert waiting.status.phase is Phase.RUNNING
    assert reason(waiting.status) == "ImageUnavailable"
    assert "name one that exists" in waiting.status.message
    assert [(e.type, e.reason) for e in waiting.events] == [("Warning", "ImageUnavailable")]
    assert waiting.requeue_after is not None
    assert waiting.requeue_after <= 10
    again = step(waiting.status, child(status, trouble=trouble), after=9)
    assert again.events == ()
    assert again.status == waiting.status
    running = step(again.status, child(status, JobState.RUNNING), after=12)
    assert reason(running.status) == "StageRunning"


def test_waiting_for_a_gpu_ends_on_the_cpu_where_the_user_said_so() -> None:
    status = started(resources=GPU)
    trouble = Trouble(Reason.UNSCHEDULABLE, "no GPU is free")
    early = step(status, child(status, trouble=trouble), after=590, resources=GPU)
    assert created(early) == []
    late = step(status, child(status, trouble=trouble), after=600, resources=GPU)
    [on_cpu] = created(late)
    assert on_cpu.on_cpu
    assert on_cpu.name != child(status).name
    assert Delete(child(status).name, "j-1") in late.actions
    # the deletion was lost: the next pass repeats it, and the Job on the CPU is left alone
    next_pass = step(
        late.status, child(status, trouble=trouble), child(late.status), after=601, resources=GPU
    )
    assert next_pass.actions == (Delete(child(status).name, "j-1"),)
    without = step(started(resources=[{"gpu": 1}]), child(status, trouble=trouble), after=9000)
    assert created(without) == []


def test_pods_that_the_cluster_retried_count_as_tries() -> None:
    status = started()
    trouble = Trouble(Reason.OUT_OF_MEMORY, "the pod was killed at 2Gi; raise spec.resources memory")
    dead = child(
        status,
        JobState.FAILED,
        shards=(ObservedShard(0, JobState.FAILED, exit_code=137),),
        tries=4,
        trouble=trouble,
    )
    ended = step(status, dead)
    assert ended.status.phase is Phase.FAILED
    assert reason(ended.status, ConditionType.STALLED) == "RetriesExhausted"
    assert "OutOfMemory: the pod was killed at 2Gi" in ended.status.message
    assert "tried 4 times" in ended.status.message
    assert created(step(status, replace(dead, tries=2))) == []
    assert step(status, replace(dead, tries=2)).status.stage.attempt == 3


def lost_message(wanted: StageJob, index: int) -> ShardEnd:
    if wanted.stage is Stage.ROUND and not wanted.recall:
        return ShardEnd(0, None)
    return all_well(wanted, index)


def test_a_lost_message_is_recalled_from_the_store_and_nothing_runs_twice() -> None:
    cluster = FakeCluster(lost_message, START)
    key = cluster.apply(document())
    status = drive(cluster, key)
    assert status.phase is Phase.SUCCEEDED
    rounds = [name for name in cluster.created if "round" in name]
    assert sum("recall" in name for name in rounds) == len(status.rounds)
    assert len(rounds) == 2 * len(status.rounds)
    assert {done.attempt for done in status.stages} == {1}


def test_a_result_that_is_not_in_the_store_is_worked_for_again() -> None:
    tries: list[str] = []

    def script(wanted: StageJob, index: int) -> ShardEnd:
        tries.append(wanted.name)
        if wanted.stage is Stage.PREFLIGHT and wanted.attempt == 1:
            return ShardEnd(75, None) if wanted.recall else ShardEnd(0, None)
        return all_well(wanted, index)

    cluster = FakeCluster(script, START)
    key = cluster.apply(document())
    status = drive(cluster, key)
    assert status.phase is Phase.SUCCEEDED
    preflight = [name for name in tries if "preflight" in name]
    assert ["recall" in name for name in preflight] == [False, True, False]


def test_a_refused_job_is_said_once_and_goes_on_when_it_is_taken() -> None:
    cluster = FakeCluster(all_well, START)
    cluster.refuses = lambda _: 'Job "x" is invalid: spec.template.spec.containers[0].name: Required value'
    key = cluster.apply(document())
    reconciler = Reconciler(cluster, lambda: cluster.now)
    for _ in range(4):
        assert asyncio.run(reconciler.reconcile(key)) == 20
    assert reason(cluster.status(key)) == "JobRefused"
    assert "spec.template.spec.containers[0].name" in cluster.status(key).message
    assert [e.reason for e in cluster.events].count("JobRefused") == 1
    cluster.refuses = lambda _: None
    assert drive(cluster, key).phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    "change",
    [{"resources": [{"memory": "8Gi"}]}, {"budget": {"wallClock": "48h"}}, {"queue": "gpu"}],
    ids=lambda change: next(iter(change)),
)
def test_what_may_change_while_a_job_runs_counts_for_its_next_job(change: dict[str, Any]) -> None:
    cluster = FakeCluster(all_well, START)
    key = cluster.apply(document())
    reconciler = Reconciler(cluster, lambda: cluster.now)
    asyncio.run(reconciler.reconcile(key))
    cluster.apply(document(**change))
    status = drive(cluster, key)
    assert status.run == 1
    assert status.phase is Phase.SUCCEEDED
    assert status.resolved_spec is not None
    name = next(iter(change))
    assert status.resolved_spec[name] == resolve(job(**change).spec, DEFAULTS)[name]
    assert len(cluster.created) == len(set(cluster.created))


def test_what_the_stage_is_told_does_not_depend_on_the_cluster() -> None:
    plain = stage_job(job(started()), started(), started().stage, 60.0)  # type: ignore[arg-type]
    tuned = started(
        resources=[{"memory": "8Gi"}], queue="gpu", template={"spec": {"nodeSelector": {"a": "b"}}}
    )
    other = stage_job(job(tuned), tuned, tuned.stage, 30.0)  # type: ignore[arg-type]
    assert other.input_hash == plain.input_hash
    assert other.spec.template is not None


def test_a_resource_edited_into_an_invalid_one_ends_what_ran() -> None:
    cluster = FakeCluster(all_well, START)
    key = cluster.apply(document())
    reconciler = Reconciler(cluster, lambda: cluster.now)
    asyncio.run(reconciler.reconcile(key))
    assert cluster.active_jobs(key)
    broken = document()
    broken["spec"]["pruning"]["criterion"] = "no_such"
    cluster.apply(broken)
    asyncio.run(reconciler.reconcile(key))
    assert not cluster.active_jobs(key)
    assert cluster.status(key).phase is Phase.FAILED
