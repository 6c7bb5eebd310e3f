"""The local gateway: serves one PruningJob of a home."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from secateur_api import PruningJobStatus
from secateur_api.stage import TERMINATION_VARIABLE
from secateur_operator.domain.decision import Event
from secateur_operator.domain.observed import Defaults, ObservedJob
from secateur_operator.domain.plan import StageJob
from secateur_operator.domain.times import stamp
from secateur_operator.gateway.local import runner
from secateur_operator.gateway.local.child import Child
from secateur_operator.gateway.local.home import Home, Resources
from secateur_operator.gateway.local.runner import GRACE_SECONDS, STAGE_COMMAND, Runner
from secateur_operator.gateway.protocol import AlreadyExists, Conflict, Key, NotFound, Resource, Transient

_POLL_SECONDS = 1.0
"""How often the logs of running processes are read for progress."""


class LocalGateway:
    """Implements Gateway for one PruningJob; open it with :meth:`open`, and ``close`` it."""

    def __init__(
        self,
        home: Home,
        key: Key,
        limit: int | None = None,
        command: Sequence[str] = STAGE_COMMAND,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._home = home
        self._key = key
        self._resources = Resources(home)
        self._children: dict[str, Child] = {}
        self._changes: asyncio.Queue[Key] = asyncio.Queue()
        self._runner = Runner(self._changed, limit, command, grace)

    @property
    def defaults(self) -> Defaults:
        return self._home.defaults

    async def open(self) -> None:
        """Take the home over from whoever had it before.

        Processes that an earlier, killed run left are ended. A Job that had not ended is then a lost Job, as
        if its node had gone: the reconciler creates it again under the same name, and what it had finished is
        found in the store.
        """
        for name in self._home.jobs():
            for folder in sorted(self._home.children(name).glob("*/")):
                child = Child.load(folder)
                if child is None:
                    continue
                if child.state.is_active:
                    await _end_leftovers(child)
                    child.remove()
                elif name == self._key.name:
                    self._children[child.name] = child

    async def close(self) -> None:
        """End every process that runs, as trees; the Jobs stay unfinished."""
        await asyncio.gather(*(self._runner.stop(child) for child in self._children.values()))

    # ---- Gateway ----

    def full(self, key: Key) -> str:
        return ""

    async def get(self, key: Key) -> Resource:
        return self._resources.get(key.name)

    async def keys(self) -> list[Key]:
        return [self._key]

    async def apply_status(self, key: Key, status: PruningJobStatus, version: str) -> None:
        try:
            self._resources.apply_status(key.name, status, version)
        except OSError as error:
            raise self._refused("write the status", error) from None

    async def list_jobs(self, key: Key, uid: str, current: str | None) -> list[ObservedJob]:
        return [child.observe() for child in self._children.values() if child.owner_uid == uid]

    async def create_job(self, job: StageJob) -> None:
        existing = self._children.get(job.name)
        if existing is not None:
            if (existing.owner_uid, existing.input_hash) != (job.owner_uid, job.input_hash):
                raise AlreadyExists(f"Job {job.name} exists with another input")
            return
        try:
            child = Child.new(self._home.children(job.owner) / job.name, job)
        except OSError as error:
            raise self._refused(f"create Job {job.name}", error) from None
        self._children[job.name] = child
        self._runner.start(child)
        self._changed()

    async def delete_job(self, key: Key, name: str, uid: str) -> None:
        child = self._children.get(name)
        if child is None:
            raise NotFound(f"Job {name} is not there")
        if child.uid != uid:
            raise Conflict(f"Job {name} is another one")
        await self._runner.stop(child)
        try:
            child.remove()
        except OSError as error:
            raise self._refused(f"delete Job {name}", error) from None
        del self._children[name]
        self._changed()

    async def event(self, key: Key, uid: str, event: Event) -> None:
        line = {
            "at": stamp(datetime.now(UTC)),
            "type": event.type,
            "reason": event.reason,
            "message": event.message,
        }
        try:
            with (self._home.job(key.name) / "events.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise self._refused("write an event", error) from None

    async def changes(self) -> AsyncIterator[Key]:
        while True:
            try:
                async with asyncio.timeout(_POLL_SECONDS):
                    key = await self._changes.get()
                yield key
            except TimeoutError:
                if any(child.state.is_active for child in self._children.values()):
                    yield self._key

    def _refused(self, what: str, error: OSError) -> Transient:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "; free some space, the job then continues" if is_full else ""
        return Transient(f"cannot {what} in {self._home.path}: {error.strerror or error}{hint}")

    def _changed(self) -> None:
        self._changes.put_nowait(self._key)


async def _end_leftovers(child: Child) -> None:
    for index, shard in enumerate(child.shards):
        marker = f"{TERMINATION_VARIABLE}={child.message(index)}"
        leader = runner.entry(shard.pid) if shard.pid else None
        is_ours = leader is not None and leader.ticks == shard.ticks
        await runner.end_tree(leader if is_ours else None, marker, grace=0.0)
