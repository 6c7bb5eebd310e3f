"""A Job and its pods, as the API server gives them, into what a decision sees. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from secateur_operator.domain.observed import JobState, ObservedJob, ObservedShard, Trouble
from secateur_operator.gateway.kube import names


def condition(body: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return an object's condition of that type if its status is True."""
    found = (body.get("status") or {}).get("conditions") or []
    return next((one for one in found if one.get("type") == kind and one.get("status") == "True"), None)


def has(body: Mapping[str, Any], kind: str) -> bool:
    """Whether an object's condition of that type is True."""
    return condition(body, kind) is not None


def is_finished(job: Mapping[str, Any]) -> bool:
    """Whether a Job has ended, well or badly."""
    return has(job, "Complete") or has(job, "Failed")


def is_silenced(pod: Mapping[str, Any]) -> bool:
    """Whether a pod's node does not answer: it was declared unready although its containers were ready."""
    found = (pod.get("status") or {}).get("conditions") or []
    ready: Mapping[str, Any] = next((one for one in found if one.get("type") == "Ready"), {})
    return ready.get("status") == "False" and not ready.get("reason") and has(pod, "ContainersReady")


Body = Mapping[str, Any]


def observe(
    job: Body,
    pods: Sequence[Body],
    *,
    progress: Mapping[str, str] | None = None,
    last_lines: Mapping[str, str] | None = None,
    trouble: Trouble | None = None,
) -> ObservedJob:
    """Return a Job as a decision sees it.

    ``progress`` and ``last_lines``: newest progress line, last line of the log, by the pod's name. That a
    shard has ended well, its pod tells; that a Job has failed, only the Job: until it says so, it retries.
    """
    newest = newest_by_index(pods)
    shards = tuple(
        _shard(job, index, newest.get(index), progress or {}, last_lines or {})
        for index in range(completions(job))
    )
    return ObservedJob(
        name=job["metadata"]["name"],
        uid=job["metadata"]["uid"],
        run=_number((job["metadata"].get("labels") or {}).get(names.RUN_LABEL)),
        state=_state(job, shards),
        shards=shards,
        created_at=job["metadata"].get("creationTimestamp"),
        started_at=_started(newest.values()) or (job.get("status") or {}).get("startTime"),
        finished_at=_finished(job, newest.values()),
        tries=1 + max((failures(pod) for pod in newest.values()), default=0),
        trouble=trouble,
    )


def newest_by_index(pods: Sequence[Body]) -> dict[int, Body]:
    """Return the pod of each index that counts: the one that has not ended, else the one made last."""
    found: dict[int, Body] = {}
    for pod in pods:
        index = index_of(pod)
        if index is not None and (index not in found or _age(found[index]) < _age(pod)):
            found[index] = pod
    return found


def index_of(pod: Body) -> int | None:
    """Return a pod's completion index."""
    text = (pod["metadata"].get("annotations") or {}).get(names.POD_INDEX)
    return int(text) if text is not None and text.isdecimal() else None


def failures(pod: Body) -> int:
    """Return how many pods of the same index failed before this one, disruptions not counted."""
    return _number((pod["metadata"].get("annotations") or {}).get(names.POD_FAILURES))


def terminated(pod: Body) -> Mapping[str, Any] | None:
    """Return how the stage's container ended; None while it has not, or where that is not known."""
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        if status.get("name") == names.STAGE_CONTAINER:
            found: Mapping[str, Any] | None = (status.get("state") or {}).get("terminated")
            return found
    return None


def phase(pod: Body) -> str:
    """Return a pod's phase: Pending, Running, Succeeded, Failed, Unknown."""
    return str((pod.get("status") or {}).get("phase", "Pending"))


def has_ended(pod: Body) -> bool:
    """Whether a pod's phase is final."""
    return phase(pod) in ("Succeeded", "Failed")


def is_taken_away(pod: Body) -> bool:
    """Whether someone deletes a pod of a Job that is not deleted, and it is no eviction."""
    return bool(pod["metadata"].get("deletionTimestamp")) and not has(pod, "DisruptionTarget")


def log_command(pod: Body) -> str:
    """Return the command that shows a pod's log."""
    meta, containers = pod["metadata"], (pod.get("spec") or {}).get("containers") or []
    chosen = f" -c {names.STAGE_CONTAINER}" if len(containers) > 1 else ""
    return f"kubectl logs -n {meta['namespace']} {meta['name']}{chosen}"


def _shard(
    job: Body, index: int, pod: Body | None, progress: Mapping[str, str], last_lines: Mapping[str, str]
) -> ObservedShard:
    if pod is None:
        return ObservedShard(index, recorded_state(job, index))
    end, name = terminated(pod), pod["metadata"]["name"]
    return ObservedShard(
        index=index,
        state=_POD_STATES.get(phase(pod), JobState.PENDING),
        exit_code=None if end is None else end.get("exitCode"),
        message=None if end is None else end.get("message"),
        progress=progress.get(name),
        log=log_command(pod),
        last_line=last_lines.get(name) or _last_of(end),
    )


_POD_STATES = {
    "Running": JobState.RUNNING,
    "Succeeded": JobState.SUCCEEDED,
    "Failed": JobState.FAILED,
}


def recorded_state(job: Body, index: int) -> JobState:
    """Return the state of an index whose pod is gone, from the Job's own books."""
    status = job.get("status") or {}
    if has(job, "Complete") or index in _indexes(status.get("completedIndexes")):
        return JobState.SUCCEEDED
    if has(job, "Failed") or index in _indexes(status.get("failedIndexes")):
        return JobState.FAILED
    return JobState.PENDING


def _last_of(end: Mapping[str, Any] | None) -> str | None:
    """Return what the container runtime said where the process itself said nothing."""
    said = str((end or {}).get("message") or "").strip()
    return said.splitlines()[-1] if said and not said.startswith("{") else None


def _state(job: Body, shards: Sequence[ObservedShard]) -> JobState:
    if has(job, "Failed"):
        return JobState.FAILED
    if has(job, "Complete") or all(shard.state is JobState.SUCCEEDED for shard in shards):
        return JobState.SUCCEEDED
    if (job.get("spec") or {}).get("suspend"):
        return JobState.PENDING
    waiting = all(shard.state in (JobState.PENDING, JobState.FAILED) for shard in shards)
    return JobState.PENDING if waiting else JobState.RUNNING


def _indexes(text: str | None) -> set[int]:
    """Read Kubernetes' compact list of indexes: ``0,2-4``."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            found.update(range(int(first), int(last or first) + 1))
    return found


def completions(job: Body) -> int:
    return int((job.get("spec") or {}).get("completions") or 1)


def _age(pod: Body) -> tuple[bool, str, int]:
    """Sort pods of an index: at most one of them has not ended."""
    return not has_ended(pod), pod["metadata"].get("creationTimestamp", ""), failures(pod)


def _started(pods: Iterable[Body]) -> str | None:
    starts: list[str] = [at for pod in pods if (at := (pod.get("status") or {}).get("startTime"))]
    return min(starts, default=None)


def _finished(job: Body, pods: Iterable[Body]) -> str | None:
    ends: list[str] = [
        end["finishedAt"] for pod in pods if (end := terminated(pod)) and end.get("finishedAt")
    ]
    if ends:
        return max(ends)
    over = condition(job, "Complete") or condition(job, "Failed")
    return None if over is None else over.get("lastTransitionTime")


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
