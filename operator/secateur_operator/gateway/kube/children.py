"""Reading a PruningJob's Jobs and their pods: by name where hints name them, by label where they do not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from secateur_operator.gateway.kube import logs, names
from secateur_operator.gateway.kube.client import KubeClient, Object
from secateur_operator.gateway.kube.conditions import has, is_finished
from secateur_operator.gateway.kube.hints import Hints, owner_uid
from secateur_operator.gateway.kube.kinds import EVENTS, JOBS, PODS, Kind
from secateur_operator.gateway.kube.observe import completions, index_of, newest_by_index, phase, terminated
from secateur_operator.gateway.protocol import GatewayError, NotFound

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
                text = await logs.tail(self._client, job["metadata"]["namespace"], name)
            except GatewayError as error:
                log.debug("no log of pod %s: %s", name, error)
                continue
            if (line := logs.last_line(text)) is not None:
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
