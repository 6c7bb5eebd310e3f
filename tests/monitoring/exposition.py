"""What an operator exposes after a job with a retry and a benchmark: the real collectors, no cluster."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from secateur_operator.cluster.metrics.jobs import JobMetrics
from secateur_operator.cluster.metrics.operator import OperatorMetrics, StageMetrics
from secateur_operator.engine.loop import Result, work_queue
from secateur_operator.engine.reconciler import Reconciler
from tests.control_plane.fake_cluster import FakeCluster
from tests.unit.control.jobs import START, document
from tests.unit.control.scenarios import EVENTFUL


@dataclass(frozen=True)
class Exposition:
    """A registry with every series that an operator can have."""

    registry: CollectorRegistry
    operator: OperatorMetrics

    def work(self) -> None:
        """Count some more of everything that is counted."""
        self.operator.waited(0.01)
        self.operator.passed(Result.DONE, 0.02)
        self.operator.requested("get", "jobs", "200", 0.01)
        self.operator.requested("patch", "pruningjobs/status", "500", 0.01)


def after_a_job() -> Exposition:
    """Run the job over a cluster in memory and return what is exposed then."""
    registry = CollectorRegistry()
    operator, stages, jobs = OperatorMetrics(registry), StageMetrics(registry), JobMetrics()
    registry.register(jobs)
    operator.watch_queue(work_queue(observer=operator).backlog)
    operator.watch_leadership(lambda: True)
    asyncio.run(_run_job(stages, jobs))
    return Exposition(registry, operator)


async def _run_job(stages: StageMetrics, jobs: JobMetrics) -> None:
    cluster = FakeCluster(EVENTFUL.script, START)
    job = document(**EVENTFUL.spec)
    key = cluster.apply({**job, "metadata": {**job["metadata"], "namespace": "ml"}})
    reconciler = Reconciler(cluster, lambda: cluster.now, stages.seen)
    while not cluster.status(key).phase.is_final:
        await reconciler.reconcile(key)
        cluster.tick()
    jobs.heard_pruningjob(cluster.versions(key)[-1])
