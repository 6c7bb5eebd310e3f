"""Metrics of stages: how long they took, and why they were tried again."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram

from secateur_api.conditions import Reason
from secateur_api.status import CurrentStage, FinishedStage
from secateur_operator.domain.observed import JobState, ObservedJob
from secateur_operator.domain.retries import failure_of
from secateur_operator.domain.times import moment_of
from secateur_operator.engine.reconciler import Seen
from secateur_operator.gateway.protocol import Key

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
