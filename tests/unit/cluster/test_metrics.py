"""Metrics: the names are a contract; series of a job come and go with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from secateur_api import PruningJobStatus, Stage
from secateur_api.conditions import Reason
from secateur_operator.cluster.metrics.jobs import JobMetrics
from secateur_operator.cluster.metrics.operator import OperatorMetrics, StageMetrics
from secateur_operator.domain.observed import JobState, ObservedJob, ObservedShard, Trouble
from secateur_operator.domain.plan import StageJob
from secateur_operator.engine.loop import Result
from secateur_operator.engine.queue import Backlog
from secateur_operator.engine.reconciler import Reconciler, Seen
from secateur_operator.gateway.protocol import Key
from tests.control_plane.fake_cluster import FakeCluster, ShardEnd
from tests.unit.control.jobs import START, all_well, document, drive, failed

NAMES = {
    *("secateur_reconcile_seconds", "secateur_queue_depth", "secateur_queue_oldest_seconds"),
    *("secateur_queue_wait_seconds", "secateur_api_requests", "secateur_leader", "secateur_build_info"),
    *("secateur_stage_seconds", "secateur_stage_retries", "secateur_jobs", "secateur_job_phase"),
    *("secateur_job_percent", "secateur_job_metric", "secateur_job_macs_cut_ratio"),
    *("secateur_job_accuracy_drop_ratio", "secateur_job_latency_p50_seconds", "secateur_job_speedup_ratio"),
}


def samples(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """Return a metric's series: the values of their labels, in the order of their names."""
    return {
        tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def body(name: str, phase: str = "Running", namespace: str = "ns", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "status": {"phase": phase, **status}}


def jobs() -> tuple[JobMetrics, CollectorRegistry]:
    registry, metrics = CollectorRegistry(), JobMetrics(clock=lambda: 100.0)
    registry.register(metrics)
    return metrics, registry


def ended() -> dict[str, Any]:
    """Return a PruningJob that has run to its end."""
    cluster = FakeCluster(all_well, START)
    key = cluster.apply(document())
    drive(cluster, key)
    return {"metadata": {"namespace": "ns", "name": "digits"}, "status": cluster.status(key).to_wire()}


def test_the_names_are_the_contract_s() -> None:
    registry = CollectorRegistry()
    metrics = OperatorMetrics(registry)
    metrics.watch_queue(lambda: Backlog(0, 0.0))
    metrics.watch_leadership(lambda: True)
    StageMetrics(registry)
    registry.register(JobMetrics())
    assert {one.name for one in registry.collect() if one.name.startswith("secateur")} == NAMES


def test_the_operator_s_own_work_is_counted() -> None:
    registry = CollectorRegistry()
    metrics = OperatorMetrics(registry)
    metrics.watch_queue(lambda: Backlog(3, 1.5))
    metrics.watch_leadership(lambda: True)
    metrics.waited(0.3)
    metrics.passed(Result.DONE, 0.02)
    metrics.passed(Result.FAULT, 4.0)
    metrics.requested("create", "jobs", "201", 0.01)
    assert samples(registry, "secateur_queue_depth") == {(): 3.0}
    assert samples(registry, "secateur_queue_oldest_seconds") == {(): 1.5}
    assert samples(registry, "secateur_leader") == {(): 1.0}
    assert samples(registry, "secateur_queue_wait_seconds_sum") == {(): 0.3}
    assert samples(registry, "secateur_api_requests_total") == {("201", "jobs", "create"): 1.0}
    counts = samples(registry, "secateur_reconcile_seconds_count")
    assert counts == {(one.value,): float(one in (Result.DONE, Result.FAULT)) for one in Result}


def test_a_finished_job_shows_its_numbers() -> None:
    metrics, registry = jobs()
    wanted = ended()
    metrics.heard_pruningjob(wanted)
    status = PruningJobStatus.model_validate(wanted["status"])
    assert status.preflight is not None
    last, bench = status.rounds[-1].outcome, status.benchmarks[0]
    where = ("local-x86", "paddle-lite/x86")
    assert samples(registry, "secateur_job_phase") == {("digits", "ns", "Succeeded"): 1.0}
    assert samples(registry, "secateur_job_percent") == {("digits", "ns"): 100.0}
    assert samples(registry, "secateur_job_metric") == {
        ("digits", "ns", "baseline"): status.preflight.baseline.metric,
        ("digits", "ns", "current"): last.numbers.metric,
    }
    assert samples(registry, "secateur_job_macs_cut_ratio") == {("digits", "ns"): last.cut_macs}
    assert samples(registry, "secateur_job_accuracy_drop_ratio") == {("digits", "ns"): last.drop}
    assert samples(registry, "secateur_job_latency_p50_seconds") == {
        (*where, "digits", "ns", "baseline"): bench.baseline.p50_seconds,
        (*where, "digits", "ns", "pruned"): bench.pruned.p50_seconds,
    }
    assert samples(registry, "secateur_job_speedup_ratio") == {(*where, "digits", "ns"): bench.speedup}


def test_what_was_not_measured_has_no_series() -> None:
    metrics, registry = jobs()
    metrics.heard_pruningjob({"metadata": {"name": "new", "namespace": "ns"}})
    assert samples(registry, "secateur_job_phase") == {("new", "ns", "Pending"): 1.0}
    assert samples(registry, "secateur_job_metric") == {}
    assert samples(registry, "secateur_job_speedup_ratio") == {}


def test_jobs_are_counted_by_phase_in_each_namespace_that_has_some() -> None:
    metrics, registry = jobs()
    metrics.heard_pruningjob(body("a"))
    metrics.heard_pruningjob(body("b"))
    metrics.heard_pruningjob(body("c", "Failed", namespace="other"))
    metrics.heard_pruningjob(body("b", "Succeeded"))
    counts = samples(registry, "secateur_jobs")
    assert {key: value for key, value in counts.items() if value} == {
        ("ns", "Running"): 1.0,
        ("ns", "Succeeded"): 1.0,
        ("other", "Failed"): 1.0,
    }
    assert len(counts) == 2 * 5


def test_a_deleted_job_leaves_no_series() -> None:
    metrics, registry = jobs()
    metrics.heard_pruningjob(ended())
    assert b'name="digits"' in generate_latest(registry)
    metrics.heard_pruningjob(body("digits"), gone=True)
    assert b'name="digits"' not in generate_latest(registry)


def test_a_listing_finds_what_was_deleted_unheard() -> None:
    metrics, registry = jobs()
    for name in ("there", "gone"):
        metrics.heard_pruningjob(body(name))
    metrics.listed([Key("ns", "there")], began=100.0)
    assert len(samples(registry, "secateur_job_phase")) == 2  # it may have been made after the listing began
    metrics.listed([Key("ns", "there")], began=101.0)
    assert samples(registry, "secateur_job_phase") == {("there", "ns", "Running"): 1.0}


def test_a_whole_job_counts_each_stage_once() -> None:
    registry = CollectorRegistry()
    stages = StageMetrics(registry)
    cluster = FakeCluster(all_well, START)
    key = cluster.apply(document())
    run_with(cluster, key, stages)
    finished = [one.name.value for one in cluster.status(key).stages]
    assert samples(registry, "secateur_stage_seconds_count") == {
        (name,): float(finished.count(name)) for name in set(finished)
    }
    assert samples(registry, "secateur_stage_seconds_sum")[("preflight",)] == 1.0  # one tick of the cluster
    assert samples(registry, "secateur_stage_retries_total") == {}


def test_a_job_that_is_tried_again_counts_with_its_reason() -> None:
    def script(wanted: StageJob, index: int) -> ShardEnd:
        if wanted.stage is Stage.PREFLIGHT and wanted.attempt == 1:
            return failed(Stage.PREFLIGHT, 75, "StoreFull", "no space left")
        return all_well(wanted, index)

    registry = CollectorRegistry()
    cluster = FakeCluster(script, START)
    key = cluster.apply(document())
    run_with(cluster, key, StageMetrics(registry))
    assert samples(registry, "secateur_stage_retries_total") == {("StoreFull", "preflight"): 1.0}


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [(None, "Killed"), (Trouble(Reason.OUT_OF_MEMORY, "needs more memory"), "OutOfMemory")],
)
def test_pods_that_were_replaced_count_when_their_job_ends(trouble: Trouble | None, reason: str) -> None:
    cluster = FakeCluster(all_well, START)
    key = cluster.apply(document())
    seen: list[Seen] = []
    run_with(cluster, key, StageMetrics(CollectorRegistry()), seen)
    ending = next(one for one in seen if one.job.status.stages and not one.before.stages)
    stage = ending.before.stage
    assert stage is not None
    shards = (ObservedShard(0, JobState.SUCCEEDED),)
    child = ObservedJob(stage.job, "u", 1, JobState.SUCCEEDED, shards, tries=3, trouble=trouble)
    registry = CollectorRegistry()
    StageMetrics(registry).seen(key, Seen(ending.job, (), False, ending.before, (child,)))
    assert samples(registry, "secateur_stage_retries_total") == {(reason, stage.name.value): 2.0}


def run_with(cluster: FakeCluster, key: Key, stages: StageMetrics, seen: list[Seen] | None = None) -> None:
    """Drive a job to its end, one pass a tick, with the metrics watching."""

    def watch(which: Key, one: Seen) -> None:
        stages.seen(which, one)
        if seen is not None:
            seen.append(one)

    reconciler = Reconciler(cluster, lambda: cluster.now, watch)

    async def drive_it() -> None:
        for _ in range(500):
            await reconciler.reconcile(key)
            if cluster.status(key).phase.is_final:
                return
            cluster.tick()
        raise AssertionError("the job did not end")

    asyncio.run(drive_it())
