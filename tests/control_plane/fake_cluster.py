"""An in-memory cluster for tests: versions, conflicts, uids, a scripted Job controller, faults on demand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from secateur_api import PruningJobStatus
from secateur_api.spec import Store
from secateur_operator.domain.decision import Event
from secateur_operator.domain.observed import Defaults, JobState, ObservedJob, ObservedShard, Trouble
from secateur_operator.domain.plan import StageJob
from secateur_operator.domain.times import stamp
from secateur_operator.gateway.kube.owners import Room
from secateur_operator.gateway.protocol import AlreadyExists, Conflict, Key, NotFound, Refused, Resource


class Cut(BaseException):
    """The operator's process ends here, right after a write; nothing may catch it but the test."""


@dataclass(frozen=True)
class ShardEnd:
    """How a scripted process ends."""

    exit_code: int
    message: str | None
    tries: int = 1
    """How many pods it has used, this one included."""


Script = Callable[[StageJob, int], ShardEnd]


@dataclass
class _Job:
    key: Key
    wanted: StageJob
    seen: ObservedJob


@dataclass
class FakeCluster:
    """Implements Gateway. ``script`` says how each shard of each Job ends; ``tick`` lets time pass."""

    script: Script
    now: datetime
    defaults: Defaults = field(default_factory=lambda: Defaults(Store(uri="memory://store")))
    versions_back: Callable[[], int] = lambda: 0
    """How old the next read is, in versions."""
    holds: Callable[[StageJob], Trouble | None] = lambda _: None
    """The trouble that keeps a Job from running; None lets it run."""
    refuses: Callable[[StageJob], str | None] = lambda _: None
    """Why a Job is refused; None takes it."""
    room: Room = field(default_factory=lambda: Room(0))
    """How many PruningJobs may run at a time."""
    cut_after: int | None = None
    """Raise Cut after this many writes (1 is the first)."""
    writes: int = 0
    created: list[str] = field(default_factory=list)
    """Every Job that was really created, in order, repeats included."""
    deleted: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    pending: set[Key] = field(default_factory=set)
    """Changes that nobody has heard of yet."""
    _history: dict[Key, list[str]] = field(default_factory=dict)
    """Every version of every resource, as JSON."""
    _jobs: dict[tuple[Key, str], _Job] = field(default_factory=dict)
    _listings: list[list[tuple[Key, ObservedJob]]] = field(default_factory=lambda: [[]])
    _serial: int = 0

    # ---- what a user and the rest of the cluster do ----

    def apply(self, document: dict[str, Any]) -> Key:
        """Create a PruningJob, or change its spec and annotations as ``kubectl apply`` would."""
        meta = document["metadata"]
        key = Key(meta.get("namespace", "default"), meta["name"])
        new = json.loads(json.dumps(document))
        history = self._history.setdefault(key, [])
        if history:
            old = json.loads(history[-1])
            changed = old["spec"] != new["spec"]
            generation = old["metadata"]["generation"] + (1 if changed else 0)
            new["metadata"].update(uid=old["metadata"]["uid"], generation=generation)
            new["status"] = old.get("status", {})
        else:
            new["metadata"].update(uid=self._uid(), generation=1)
        self._store_version(key, new)
        return key

    def tick(self, seconds: float = 1.0) -> None:
        """Let time pass: each unfinished Job takes one step (pending, running, ended)."""
        self.now += timedelta(seconds=seconds)
        for job in self._jobs.values():
            if job.seen.state.is_active:
                job.seen = self._stepped(job)
                self.pending.add(job.key)
        self._list_again()

    def lose_job(self, key: Key, name: str) -> None:
        """Delete a Job behind the operator's back."""
        del self._jobs[key, name]
        self._list_again()

    def status(self, key: Key) -> PruningJobStatus:
        """Return the newest status."""
        return PruningJobStatus.model_validate(json.loads(self._history[key][-1]).get("status", {}))

    def versions(self, key: Key) -> list[dict[str, Any]]:
        """Return every version of a resource that there was, in order."""
        return [json.loads(text) for text in self._history[key]]

    def generation(self, key: Key) -> int:
        """Return how often the spec was written."""
        return int(json.loads(self._history[key][-1])["metadata"]["generation"])

    def active_jobs(self, key: Key) -> list[str]:
        """Name the Jobs that still run."""
        return [n for (k, n), job in self._jobs.items() if k == key and job.seen.state.is_active]

    # ---- Gateway ----

    def full(self, key: Key) -> str:
        return self.room.full(key)

    async def get(self, key: Key) -> Resource:
        history = self._history.get(key)
        if not history:
            raise NotFound(f"{key.name} is not there")
        document = json.loads(history[max(0, len(history) - 1 - self.versions_back())])
        return Resource(document, document["metadata"]["resourceVersion"])

    async def keys(self) -> list[Key]:
        return list(self._history)

    async def apply_status(self, key: Key, status: PruningJobStatus, version: str) -> None:
        document = json.loads(self._history[key][-1])
        newest = document["metadata"]["resourceVersion"]
        if newest != version:
            raise Conflict(f"{key.name} is at version {newest}, not {version}")
        wire = status.to_wire()
        if wire != document.get("status"):
            self._store_version(key, {**document, "status": wire})
        self._written()

    async def list_jobs(self, key: Key, uid: str, current: str | None) -> list[ObservedJob]:
        listing = self._listings[max(0, len(self._listings) - 1 - self.versions_back())]
        return [seen for owner, seen in listing if owner == key]

    async def create_job(self, job: StageJob) -> None:
        key = Key(job.namespace, job.owner)
        refusal = self.refuses(job)
        if refusal is not None:
            raise Refused(refusal)
        existing = self._jobs.get((key, job.name))
        if existing is not None:
            same = (existing.wanted.owner_uid, existing.wanted.input_hash) == (job.owner_uid, job.input_hash)
            if not same:
                raise AlreadyExists(f"Job {job.name} exists with another input")
            return
        shards = tuple(ObservedShard(index, JobState.PENDING) for index in range(job.shards))
        created = stamp(self.now)
        seen = ObservedJob(job.name, self._uid(), job.run, JobState.PENDING, shards, created_at=created)
        self._jobs[key, job.name] = _Job(key, job, seen)
        self.created.append(job.name)
        self.pending.add(key)
        self._list_again()
        self._written()

    async def delete_job(self, key: Key, name: str, uid: str) -> None:
        job = self._jobs.get((key, name))
        if job is None:
            raise NotFound(f"Job {name} is not there")
        if job.seen.uid != uid:
            raise Conflict(f"Job {name} is another one")
        del self._jobs[key, name]
        self.deleted.append(name)
        self.pending.add(key)
        self._list_again()
        self._written()

    async def event(self, key: Key, uid: str, event: Event) -> None:
        self.events.append(event)
        self._written()

    async def changes(self) -> AsyncIterator[Key]:
        while self.pending:
            yield self.pending.pop()

    # ---- inside ----

    def _stepped(self, job: _Job) -> ObservedJob:
        trouble = self.holds(job.wanted)
        if trouble is not None:
            return replace(job.seen, trouble=trouble)
        if job.seen.state is JobState.PENDING:
            shards = tuple(replace(shard, state=JobState.RUNNING) for shard in job.seen.shards)
            return replace(
                job.seen, state=JobState.RUNNING, shards=shards, started_at=stamp(self.now), trouble=None
            )
        ended = []
        tries = 1
        for shard in job.seen.shards:
            end = self.script(job.wanted, shard.index)
            tries = max(tries, end.tries)
            state = JobState.SUCCEEDED if end.exit_code == 0 else JobState.FAILED
            ended.append(replace(shard, state=state, exit_code=end.exit_code, message=end.message))
        failed = any(shard.state is JobState.FAILED for shard in ended)
        state = JobState.FAILED if failed else JobState.SUCCEEDED
        return replace(job.seen, state=state, shards=tuple(ended), finished_at=stamp(self.now), tries=tries)

    def _store_version(self, key: Key, document: dict[str, Any]) -> None:
        self._serial += 1
        document["metadata"]["resourceVersion"] = str(self._serial)
        self._history[key].append(json.dumps(document))
        following = self.room.heard(document)
        self.pending |= {key} if following is None else {key, following}

    def _list_again(self) -> None:
        self._listings.append([(job.key, job.seen) for job in self._jobs.values()])

    def _uid(self) -> str:
        self._serial += 1
        return f"00000000-0000-4000-8000-{self._serial:012d}"

    def _written(self) -> None:
        self.writes += 1
        if self.writes == self.cut_after:
            raise Cut
