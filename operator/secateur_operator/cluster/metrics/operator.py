"""Metrics of the operator's own work and of stages (seconds, further tries).

No label has a value that users choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from secateur_api.conditions import Reason
from secateur_api.status import CurrentStage, FinishedStage
from secateur_operator.domain.observed import JobState, ObservedJob
from secateur_operator.domain.record import failure_of
from secateur_operator.domain.times import moment_of
from secateur_operator.engine.loop import Result
from secateur_operator.engine.queue import Backlog
from secateur_operator.engine.reconciler import Seen
from secateur_operator.gateway.protocol import Key

_WAITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_PASSES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class OperatorMetrics:
    """Implements the loop's Observer and the client's Observe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._registry = registry
        self._reconcile = Histogram(
            "secateur_reconcile_seconds",
            "Passes of the reconciler, by how they ended.",
            ["result"],
            buckets=_PASSES,
            registry=registry,
        )
        for result in Result:
            self._reconcile.labels(result.value)
        self._wait = Histogram(
            "secateur_queue_wait_seconds",
            "From the moment that a PruningJob is due to the start of its pass.",
            buckets=_WAITS,
            registry=registry,
        )
        self._requests = Counter(
            "secateur_api_requests_total",
            "Requests to the Kubernetes API; code is the HTTP status, or error if there was no answer.",
            ["verb", "resource", "code"],
            registry=registry,
        )
        self._leader = Gauge("secateur_leader", "1 while this process leads.", registry=registry)
        build = Gauge(
            "secateur_build_info", "Always 1; the label is what counts.", ["version"], registry=registry
        )
        build.labels(version("secateur")).set(1)

    def watch_queue(self, backlog: Callable[[], Backlog]) -> None:
        """Read the queue at each scrape."""
        depth = Gauge("secateur_queue_depth", "PruningJobs that wait for a pass.", registry=self._registry)
        depth.set_function(lambda: backlog().depth)
        oldest = Gauge(
            "secateur_queue_oldest_seconds",
            "For how long the first of them has been due; 0 if none is.",
            registry=self._registry,
        )
        oldest.set_function(lambda: backlog().oldest_seconds)

    def watch_leadership(self, leads: Callable[[], bool]) -> None:
        """Read at each scrape whether this process leads."""
        self._leader.set_function(lambda: float(leads()))

    def waited(self, seconds: float) -> None:
        """A pass begins that was due so long ago."""
        self._wait.observe(seconds)

    def passed(self, result: Result, seconds: float) -> None:
        """A pass has ended."""
        self._reconcile.labels(result.value).observe(seconds)

    def requested(self, verb: str, resource: str, code: str, _seconds: float) -> None:
        """A request was answered, or not."""
        self._requests.labels(verb, resource, code).inc()


_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400)


class StageMetrics:
    """Implements the reconciler's Watcher."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "secateur_stage_seconds",
            "Finished stages, from the start of their Job to its end.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._retries = Counter(
            "secateur_stage_retries_total",
            "Pods and Jobs of a stage that failed and were tried again, by why.",
            ["stage", "reason"],
            registry=registry,
        )

    def seen(self, _key: Key, seen: Seen) -> None:
        """Take over what a pass ended with."""
        for stage in finished_in(seen):
            self._seconds.labels(stage.name.value).observe(seconds_of(stage))
        for name, reason, count in retries_in(seen):
            self._retries.labels(name, reason).inc(count)


def finished_in(seen: Seen) -> list[FinishedStage]:
    """Return the stages that a pass recorded as finished. Pure."""
    before = len(seen.before.stages) if seen.before.run == seen.job.status.run else 0
    return seen.job.status.stages[before:]


def seconds_of(stage: FinishedStage) -> float:
    """Return how long a stage took on the cluster, its pod's start included."""
    return max(0.0, (moment_of(stage.finished_at) - moment_of(stage.started_at)).total_seconds())


def retries_in(seen: Seen) -> Iterator[tuple[str, str, int]]:
    """Return what a pass learned of further tries: stage, reason, how many. Pure.

    Pods that the Job controller replaced are counted when their Job has ended, a Job that follows a failed
    one when it is decided upon.
    """
    stage = seen.before.stage
    if stage is None or seen.before.run != seen.job.status.run:
        return
    child = next((one for one in seen.children if one.name == stage.job), None)
    if child is None or child.state.is_active or seen.job.status.stage == stage:
        return
    if child.tries > 1:
        yield stage.name.value, _why_pods_failed(child), child.tries - 1
    if _goes_on(stage, seen.job.status.stage) and child.state is JobState.FAILED:
        yield stage.name.value, failure_of(child).reason, 1


def _goes_on(stage: CurrentStage, now: CurrentStage | None) -> bool:
    return now is not None and (now.name, now.round) == (stage.name, stage.round)


def _why_pods_failed(child: ObservedJob) -> str:
    if child.state is JobState.FAILED:
        return failure_of(child).reason
    return child.trouble.reason.value if child.trouble else Reason.KILLED.value
