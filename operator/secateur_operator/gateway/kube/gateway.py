"""The gateway over the Kubernetes API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NoReturn

from secateur_api import PruningJobStatus
from secateur_api.base import API_VERSION, KIND
from secateur_operator.domain.decision import Event
from secateur_operator.domain.observed import Defaults, ObservedJob
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.kube import hints, names, owners, trouble
from secateur_operator.gateway.kube.children import Children, ProgressReader
from secateur_operator.gateway.kube.client import KubeClient, Object
from secateur_operator.gateway.kube.events import EventRecorder
from secateur_operator.gateway.kube.names import JOBS, PRUNING_JOBS
from secateur_operator.gateway.kube.observe import is_taken_away, observe
from secateur_operator.gateway.kube.owners import Room
from secateur_operator.gateway.protocol import (
    AlreadyExists,
    Conflict,
    Key,
    NotFound,
    NotLeader,
    Resource,
    Transient,
)

FIELD_MANAGER = "secateur"


def _now() -> datetime:
    return datetime.now(UTC)


async def _anywhere(_namespace: str) -> None:
    return None


def _nobody(_keys: Iterable[Key], _began: float) -> None:
    return None


class KubeGateway:
    """Implements Gateway over one API server.

    Whoever watches tells it what was heard (``heard_pruningjob``, ``heard_job``, ``heard_pod``) and when the
    first listings are through (``jobs_listed``, ``pods_listed``).
    """

    def __init__(
        self,
        client: KubeClient,
        defaults: Defaults,
        manifest: Callable[[StageJob], Object],
        *,
        namespaces: tuple[str, ...] = (),
        fence: Callable[[], bool] = lambda: True,
        instance: str = "secateur",
        clock: Callable[[], datetime] = _now,
        listed: Callable[[Iterable[Key], float], None] = _nobody,
        selector: Mapping[str, str] | None = None,
        max_running: int = 0,
        hold: Callable[[str], Awaitable[None]] = _anywhere,
    ) -> None:
        """Serve some namespaces (none given: all).

        ``manifest`` builds a Job; ``fence`` says whether this process may write; ``instance`` names it;
        ``listed`` is told of every PruningJob that a listing found, and when it began (``time.monotonic``);
        ``selector`` has the labels of the PruningJobs that are served; ``max_running`` of them run at a time
        in a namespace (0: all); ``hold`` raises Elsewhere for a namespace that another operator serves.
        """
        self._client = client
        self._defaults = defaults
        self._manifest = manifest
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._fence = fence
        self._clock = clock
        self._listed = listed
        self._selector = dict(selector or {})
        self._room = Room(max_running)
        self._hold = hold
        self._hints = hints.Hints()
        self._owners = owners.Owners()
        self._children = Children(client, self._hints)
        self._events = EventRecorder(client, instance, clock)
        self._heard: asyncio.Queue[Key] = asyncio.Queue()
        self._progress = ProgressReader(client, self._followed, self.heard)

    # ---- what the watches say ----

    def heard(self, key: Key) -> None:
        """Something may have changed: the PruningJob is looked at."""
        self._heard.put_nowait(key)

    def heard_pruningjob(self, body: Mapping[str, Any], gone: bool = False) -> None:
        """Take over a watch event of a PruningJob; ``gone``: it was deleted."""
        active = bool(self._hints.active_jobs(body["metadata"]["uid"]))
        if self._owners.heard(body, gone, active):
            self.heard(owners.key_of(body))
        self._make_room(body, gone)

    def heard_job(self, body: Mapping[str, Any], gone: bool = False) -> None:
        """Take over a watch event of a Job of ours."""
        key, name = hints.key_of(body), body["metadata"]["name"]
        news = self._hints.job(body, gone)
        if key is None or not news:
            return
        is_active = name in self._hints.active_jobs(hints.owner_uid(body) or "")
        if is_active or self._owners.waits_for(key, name):
            self.heard(key)

    def heard_pod(self, body: Mapping[str, Any], gone: bool = False) -> None:
        """Take over a watch event of a pod of ours."""
        key, news = hints.key_of(body), self._hints.pod(body, gone)
        job = (body["metadata"].get("labels") or {}).get(names.POD_JOB, "")
        if key is not None and news and self._owners.waits_for(key, job):
            self.heard(key)

    def jobs_listed(self) -> None:
        """Every Job that is there was heard of: from now on they are read by name."""
        self._hints.jobs_listed = True

    def pods_listed(self) -> None:
        """Every pod that is there was heard of: from now on they are read by name."""
        self._hints.pods_listed = True

    async def follow_progress(self) -> None:
        """Read the progress of running pods from their logs until cancelled; run it beside the loop."""
        await self._progress.run()

    def _make_room(self, body: Mapping[str, Any], gone: bool = False) -> None:
        following = self._room.heard(body, gone)
        if following is not None:
            self.heard(following)

    # ---- Gateway: reads ----

    @property
    def defaults(self) -> Defaults:
        return self._defaults

    def full(self, key: Key) -> str:
        return self._room.full(key)

    async def get(self, key: Key) -> Resource:
        document = await self._client.get(PRUNING_JOBS, key.namespace, key.name, self._owners.version(key))
        meta = document["metadata"]
        if meta.get("deletionTimestamp"):
            raise NotFound(f"PruningJob {key.namespace}/{key.name} is being deleted")
        if not self._selector.items() <= (meta.get("labels") or {}).items():
            raise NotFound(f"PruningJob {key.namespace}/{key.name} is another operator's, by its labels")
        await self._hold(key.namespace)
        return Resource(document, meta["resourceVersion"])

    async def keys(self) -> list[Key]:
        """Name every PruningJob that is not settled."""
        began, everything, found = time.monotonic(), [], []
        for namespace in self._namespaces:
            labels = ",".join(f"{name}={value}" for name, value in self._selector.items())
            async for body in self._client.items(PRUNING_JOBS, namespace, labels=labels):
                everything.append(owners.key_of(body))
                active = bool(self._hints.active_jobs(body["metadata"]["uid"]))
                if active or not owners.is_settled(body):
                    found.append(owners.key_of(body))
        self._listed(everything, began)
        return found

    async def list_jobs(self, key: Key, uid: str, current: str | None) -> list[ObservedJob]:
        jobs = await self._children.jobs(key.namespace, uid, current)
        return [await self._observe(key, uid, job, job["metadata"]["name"] == current) for job in jobs]

    async def changes(self) -> AsyncIterator[Key]:
        while True:
            yield await self._heard.get()

    async def _observe(self, key: Key, uid: str, job: Object, is_current: bool) -> ObservedJob:
        """Read what a decision needs of a Job: of one that is only to be deleted, nothing more."""
        if not is_current:
            return observe(job, ())
        pods = await self._children.pods(job)
        if any(map(is_taken_away, pods)) and await self._events.is_ending(key, uid):
            await self._give_up(key, job)
        sight = trouble.Sight(job, pods, (), self._clock())
        if unexplained := trouble.unexplained(sight):
            sight = replace(sight, events=await self._children.events(unexplained))
        return observe(
            job,
            pods,
            progress=self._progress.lines(job["metadata"]["namespace"], job["metadata"]["name"]),
            last_lines=await self._children.last_lines(job, pods),
            trouble=trouble.find(sight),
        )

    async def _give_up(self, key: Key, job: Object) -> NoReturn:
        """Delete a Job in a namespace that is being deleted.

        Kubernetes (1.34) deletes the pods first and waits for them; a Job with backoffLimitPerIndex holds its
        failed pod until the next one is made, which such a namespace does not admit: it would wait for ever.
        """
        meta = job["metadata"]
        await self.delete_job(key, meta["name"], meta["uid"])
        raise NotFound(f"namespace {key.namespace} is being deleted, and so was Job {meta['name']}")

    def _followed(self) -> list[hints.RunningPods]:
        """Name the running pods of those Jobs that a PruningJob is at."""
        return [one for one in self._hints.running() if self._owners.waits_for(one.key, one.job)]

    # ---- Gateway: writes ----

    async def apply_status(self, key: Key, status: PruningJobStatus, version: str) -> None:
        self._may_write()
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": key.name, "namespace": key.namespace, "resourceVersion": version},
            "status": status.to_wire(),
        }
        try:
            answer = await self._client.apply_status(
                PRUNING_JOBS, key.namespace, key.name, body, FIELD_MANAGER
            )
        except Conflict:
            self._owners.outdated(key)  # else the next pass might read the same from the cache again
            raise
        self._owners.wrote(answer)
        self._make_room(answer)

    async def create_job(self, job: StageJob) -> None:
        manifest = self._manifest(job)
        self._may_write()
        try:
            made = await self._client.create(JOBS, job.namespace, manifest)
        except AlreadyExists:
            await self._must_be_same(job)
        else:
            self._hints.job(made)

    async def delete_job(self, key: Key, name: str, uid: str) -> None:
        self._may_write()
        await self._client.delete(JOBS, key.namespace, name, uid)

    async def event(self, key: Key, uid: str, event: Event) -> None:
        self._may_write()
        await self._events.record(key, uid, event)

    def _may_write(self) -> None:
        if not self._fence():
            raise NotLeader("this process does not lead any more; it writes nothing")

    async def _must_be_same(self, job: StageJob) -> None:
        """Raise unless the Job that has the name is the one that was to be created."""
        try:
            there = await self._client.get(JOBS, job.namespace, job.name)
        except NotFound:
            raise Transient(f"Job {job.name} was deleted just now") from None
        meta = there["metadata"]
        owner = next((one["uid"] for one in meta.get("ownerReferences") or [] if one.get("controller")), None)
        if (owner, (meta.get("annotations") or {}).get(names.INPUT_HASH)) != (job.owner_uid, job.input_hash):
            raise AlreadyExists(f"Job {job.name} exists with another owner or input; delete or rename it")
        if meta.get("deletionTimestamp"):
            raise Transient(f"Job {job.name} is still being deleted")
        self._hints.job(there)
