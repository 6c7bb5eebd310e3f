"""Where to look: an index of Jobs and pods, fed by watch events.

A hint may be late, or missing where a watch had a gap: the truth is what a read by that name returns. It
replaces listing by label, which makes the API server scan a whole namespace. With the version that was heard
a read may come from the API server's cache, which costs less than asking etcd, and is not older than that.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from secateur_operator.gateway.kube import names
from secateur_operator.gateway.kube.observe import has, is_finished, is_silenced
from secateur_operator.gateway.protocol import Key

Body = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class RunningPods:
    """Pods of one Job that run now."""

    key: Key
    job: str
    """Name of the Job."""
    pods: tuple[str, ...]


@dataclass
class _Job:
    shape: Hashable
    version: str


@dataclass
class _Pod:
    key: Key
    job: str
    shape: Hashable
    version: str


@dataclass
class Hints:
    """Answers "which ones are there, as far as was heard"."""

    jobs_listed: bool = False
    """The watch of Jobs is through its first listing."""
    pods_listed: bool = False
    """The watch of pods is through its first listing."""
    _active: dict[str, dict[str, _Job]] = field(default_factory=dict)
    """Uid of a PruningJob -> names of its unfinished Jobs -> what was last heard of them."""
    _pods: dict[str, dict[str, _Pod]] = field(default_factory=dict)
    """Uid of a Job -> names of its pods."""
    _running: dict[str, dict[str, _Pod]] = field(default_factory=dict)
    """The same, of those pods alone that run: few, where ended ones may be many."""

    def job(self, body: Body, gone: bool = False) -> bool:
        """Note what was heard of a Job; return whether it is news for a decision."""
        owner, name = owner_uid(body), body["metadata"]["name"]
        if owner is None:
            return False
        if gone:
            self._pods.pop(body["metadata"]["uid"], None)
            self._running.pop(body["metadata"]["uid"], None)
            return self.forget_job(owner, name)
        if is_finished(body):
            self.forget_job(owner, name)
            return True
        job = _Job(_job_shape(body), body["metadata"]["resourceVersion"])
        known = self._active.setdefault(owner, {})
        before = known.get(name)
        known[name] = job
        return before is None or before.shape != job.shape

    def pod(self, body: Body, gone: bool = False) -> bool:
        """Note what was heard of a pod; return whether it is news for a decision."""
        meta = body["metadata"]
        labels = meta.get("labels") or {}
        job_uid, owner = labels.get(names.POD_OWNER), key_of(body)
        if job_uid is None or owner is None:
            return False
        if gone:
            return self.forget_pod(job_uid, meta["name"])
        pod = _Pod(owner, labels.get(names.POD_JOB, ""), _pod_shape(body), meta["resourceVersion"])
        known = self._pods.setdefault(job_uid, {})
        before = known.get(meta["name"])
        known[meta["name"]] = pod
        if _runs(body):
            self._running.setdefault(job_uid, {})[meta["name"]] = pod
        else:
            _drop(self._running, job_uid, meta["name"])
        return pod.shape != (before.shape if before else _UNSEEN)

    def forget_job(self, owner: str, name: str) -> bool:
        """A Job has ended or is gone; return whether it was thought to be active."""
        return _drop(self._active, owner, name)

    def forget_pod(self, job_uid: str, name: str) -> bool:
        """A pod is gone; return whether it was known."""
        _drop(self._running, job_uid, name)
        return _drop(self._pods, job_uid, name)

    def active_jobs(self, owner: str) -> dict[str, str]:
        """Name the unfinished Jobs of the PruningJob with that uid, each with the version last heard of."""
        return {name: job.version for name, job in self._active.get(owner, {}).items()}

    def pods(self, job_uid: str) -> dict[str, str]:
        """Name the pods of the Job with that uid, ended ones too, each with the version last heard of."""
        return {name: pod.version for name, pod in self._pods.get(job_uid, {}).items()}

    def running(self) -> list[RunningPods]:
        """Return the pods that run now, by Job."""
        found = []
        for pods in self._running.values():
            first = next(iter(pods.values()))
            found.append(RunningPods(first.key, first.job, tuple(pods)))
        return found


def _drop(index: dict[str, dict[str, T]], outer: str, inner: str) -> bool:
    """Take an entry out of an index of two steps, if it is there."""
    entries = index.get(outer, {})
    was = entries.pop(inner, None) is not None
    if not entries:
        index.pop(outer, None)
    return was


def owner_uid(body: Body) -> str | None:
    """Return the uid of the PruningJob that an object of ours says that it belongs to."""
    uid: str | None = (body["metadata"].get("labels") or {}).get(names.OWNER_UID_LABEL)
    return uid


def key_of(body: Body) -> Key | None:
    """Return the PruningJob that an object of ours belongs to, by its labels."""
    meta = body["metadata"]
    name = (meta.get("labels") or {}).get(names.JOB_LABEL)
    return None if name is None else Key(meta["namespace"], name)


def _job_shape(body: Body) -> Hashable:
    """Return what a decision may depend on; the counters of ready and terminating pods are not part of it."""
    status = body.get("status") or {}
    return (
        body["metadata"]["uid"],
        bool(body["metadata"].get("deletionTimestamp")),
        bool((body.get("spec") or {}).get("suspend")),
        "startTime" in status,
        bool(status.get("active")),
        status.get("succeeded", 0),
        status.get("failed", 0),
        has(body, "FailureTarget"),
    )


def _pod_shape(body: Body) -> Hashable:
    status = body.get("status") or {}
    conditions = tuple(
        (one.get("type"), one.get("status"), one.get("reason"))
        for one in status.get("conditions") or []
        if one.get("type") in ("PodScheduled", "DisruptionTarget") and one.get("status") is not None
    )
    waits = tuple(
        ((one.get("state") or {}).get("waiting") or {}).get("reason")
        for one in status.get("containerStatuses") or []
    )
    return (
        status.get("phase"),
        bool(body["metadata"].get("deletionTimestamp")),
        tuple(one for one in conditions if one != ("PodScheduled", "True", None)),
        is_silenced(body),
        tuple(one for one in waits if one not in (None, "ContainerCreating", "PodInitializing")),
    )


_UNSEEN = _pod_shape({"metadata": {}, "status": {"phase": "Pending"}})
"""A pod that was just made: there is nothing to decide about it yet."""


def _runs(body: Body) -> bool:
    return (body.get("status") or {}).get("phase") == "Running"
