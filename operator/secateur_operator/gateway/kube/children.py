"""A PruningJob's Jobs and their pods: by name where hints name them, by label where they do not.

Live progress is the ends of running pods' logs, read in turns, so that pods need no rights of their own; of a
pod that failed the end of its log is its last words.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from secateur_api.stage import PROGRESS_PREFIX
from secateur_operator.gateway.kube import names
from secateur_operator.gateway.kube.client import KubeClient, Object
from secateur_operator.gateway.kube.hints import Hints, RunningPods, owner_uid
from secateur_operator.gateway.kube.names import EVENTS, JOBS, PODS, Kind
from secateur_operator.gateway.kube.observe import (
    completions,
    has,
    index_of,
    is_finished,
    newest_by_index,
    phase,
    terminated,
)
from secateur_operator.gateway.protocol import GatewayError, Key, NotFound

TIMEOUT_SECONDS = 5.0
_TAIL = {"container": names.STAGE_CONTAINER, "tailLines": "40", "limitBytes": "65536"}
_LONGEST = 300
"""Longest line that is shown."""


async def tail(client: KubeClient, namespace: str, pod: str) -> str:
    """Read the end of a pod's log; raises GatewayError."""
    return await client.text(PODS, namespace, pod, "log", _TAIL, timeout=TIMEOUT_SECONDS)


def newest_progress(text: str) -> str | None:
    """Return the last progress line, without its prefix. Pure."""
    lines = [line for line in text.splitlines() if line.startswith(PROGRESS_PREFIX)]
    return lines[-1].removeprefix(PROGRESS_PREFIX) if lines else None


def last_line(text: str) -> str | None:
    """Return the last line that says something else than progress. Pure."""
    lines = [line.strip() for line in text.splitlines() if not line.startswith(PROGRESS_PREFIX)]
    said = [line for line in lines if line]
    return said[-1][:_LONGEST] if said else None


log = logging.getLogger(__name__)


class Children:
    """Fresh reads of what belongs to a PruningJob."""

    def __init__(self, client: KubeClient, hints: Hints) -> None:
        self._client = client
        self._hints = hints

    async def jobs(self, namespace: str, uid: str, current: str | None) -> list[Object]:
        """Read the Jobs of the PruningJob with that uid: the current one, and those that are active."""
        if not self._hints.jobs_listed:
            selector = f"{names.MANAGED},{names.OWNER_UID_LABEL}={uid}"
            return await self._list(JOBS, namespace, selector)
        wanted = {**({current: None} if current else {}), **self._hints.active_jobs(uid)}
        found = await self._read(JOBS, namespace, wanted)
        for name, job in zip(wanted, found, strict=True):
            if job is None or is_finished(job):
                self._hints.forget_job(uid, name)
        return [job for job in found if job is not None and owner_uid(job) == uid]

    async def pods(self, job: Mapping[str, Any]) -> list[Object]:
        """Read the pods of a Job."""
        namespace, uid = job["metadata"]["namespace"], job["metadata"]["uid"]
        if self._hints.pods_listed:
            wanted = self._hints.pods(uid)
            found = await self._read(PODS, namespace, wanted)
            for name, pod in zip(wanted, found, strict=True):
                if pod is None:
                    self._hints.forget_pod(uid, name)
            pods = [pod for pod in found if pod is not None]
            if not lacks_pods(job, pods):
                return pods
        return await self._list(PODS, namespace, f"{names.MANAGED},{names.POD_OWNER}={uid}")

    async def events(self, objects: Sequence[Mapping[str, Any]]) -> list[Object]:
        """Read the events about some objects; none where they may not be read."""
        found: list[Object] = []
        for one in objects:
            meta = one["metadata"]
            try:
                selector = f"involvedObject.uid={meta['uid']}"
                about = self._client.items(EVENTS, meta["namespace"], fields=selector)
                found += [event async for event in about]
            except GatewayError as error:
                log.warning("what holds up %s/%s stays unsaid: %s", meta["namespace"], meta["name"], error)
        return found

    async def last_lines(self, job: Mapping[str, Any], pods: Sequence[Object]) -> dict[str, str]:
        """Read the last line of the log of each pod that its Job failed by and that left no message."""
        if not has(job, "Failed"):
            return {}
        mute = [
            pod["metadata"]["name"]
            for pod in newest_by_index(pods).values()
            if phase(pod) == "Failed" and not (terminated(pod) or {}).get("message")
        ]
        found = {}
        for name in mute:
            try:
                text = await tail(self._client, job["metadata"]["namespace"], name)
            except GatewayError as error:
                log.debug("no log of pod %s: %s", name, error)
                continue
            if (line := last_line(text)) is not None:
                found[name] = line
        return found

    async def _read(
        self, kind: Kind, namespace: str, wanted: Mapping[str, str | None]
    ) -> list[Object | None]:
        """Read objects by name, each not older than a version."""
        return await asyncio.gather(*(self._get(kind, namespace, *one) for one in wanted.items()))

    async def _get(self, kind: Kind, namespace: str, name: str, version: str | None) -> Object | None:
        try:
            return await self._client.get(kind, namespace, name, version)
        except NotFound:
            return None

    async def _list(self, kind: Kind, namespace: str, selector: str) -> list[Object]:
        return [item async for item in self._client.items(kind, namespace, labels=selector)]


def lacks_pods(job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a Job's books count pods that are not among those that were heard of. Pure."""
    if is_finished(job):
        return len({index_of(pod) for pod in pods}) < completions(job)
    return bool((job.get("status") or {}).get("active", 0) > len(pods))


EVERY_SECONDS = 5.0
"""How often the pods of one PruningJob are read at most."""
AFTER_ERROR_SECONDS = 30.0
READS_PER_TURN = 10
"""Logs read in one turn, of all PruningJobs together: with more pods, each comes less often."""
TURN_SECONDS = 1.0


@dataclass
class _Followed:
    """One Job whose pods run."""

    due: float = 0.0
    lines: dict[str, str] = field(default_factory=dict)
    """Name of a pod -> its newest progress line."""
    read_at: dict[str, float] = field(default_factory=dict)


class ProgressReader:
    """Knows the newest progress line of each running pod, a few seconds late."""

    def __init__(
        self,
        client: KubeClient,
        running: Callable[[], Sequence[RunningPods]],
        news: Callable[[Key], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``running`` names the pods to read; ``news`` is told which PruningJob has moved on."""
        self._client = client
        self._running = running
        self._news = news
        self._clock = clock
        self._followed: dict[tuple[str, str], _Followed] = {}

    def lines(self, namespace: str, job: str) -> dict[str, str]:
        """Return the newest progress line of each pod of a Job, as far as one was read."""
        followed = self._followed.get((namespace, job))
        return dict(followed.lines) if followed else {}

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(TURN_SECONDS)

    async def turn(self) -> None:
        """Read the pods whose turn it is: those first that were read longest ago."""
        now = self._clock()
        running = {(one.key.namespace, one.job): one for one in self._running()}
        self._followed = {name: self._followed.get(name, _Followed()) for name in running}
        due = sorted((name for name in running if self._followed[name].due <= now), key=self._due_of)
        left, reads = READS_PER_TURN, []
        for name in due:
            if left <= 0:
                break
            followed = self._followed[name]
            pods = sorted(running[name].pods, key=lambda pod: followed.read_at.get(pod, 0.0))[:left]
            left -= len(pods)
            reads.append(self._read(running[name].key, followed, pods, now))
        await asyncio.gather(*reads)

    def _due_of(self, name: tuple[str, str]) -> float:
        return self._followed[name].due

    async def _read(self, key: Key, followed: _Followed, pods: Sequence[str], now: float) -> None:
        followed.due = now + EVERY_SECONDS
        followed.read_at.update(dict.fromkeys(pods, now))
        found = await asyncio.gather(*(self._line(key, pod) for pod in pods), return_exceptions=True)
        is_news = False
        for pod, line in zip(pods, found, strict=True):
            if isinstance(line, GatewayError):
                log.debug("no progress of pod %s/%s: %s", key.namespace, pod, line)
                followed.due = now + AFTER_ERROR_SECONDS
            elif isinstance(line, BaseException):
                raise line
            elif line is not None and followed.lines.get(pod) != line:
                followed.lines[pod] = line
                is_news = True
        if is_news:
            self._news(key)

    async def _line(self, key: Key, pod: str) -> str | None:
        return newest_progress(await tail(self._client, key.namespace, pod))
