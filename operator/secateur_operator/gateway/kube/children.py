"""Reading a PruningJob's Jobs and their pods: by name where hints name them, by label where they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from secateur_operator.gateway.kube import names
from secateur_operator.gateway.kube.client import KubeClient, Object
from secateur_operator.gateway.kube.conditions import is_finished
from secateur_operator.gateway.kube.hints import Hints, owner_uid
from secateur_operator.gateway.kube.kinds import JOBS, PODS, Kind
from secateur_operator.gateway.kube.observe import index_of
from secateur_operator.gateway.protocol import NotFound


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
        wanted = dict.fromkeys([*([current] if current else []), *self._hints.active_jobs(uid)])
        found = await asyncio.gather(*(self._get(JOBS, namespace, name) for name in wanted))
        for name, job in zip(wanted, found, strict=True):
            if job is None or is_finished(job):
                self._hints.forget_job(uid, name)
        return [job for job in found if job is not None and owner_uid(job) == uid]

    async def pods(self, job: Mapping[str, Any]) -> list[Object]:
        """Read the pods of a Job."""
        namespace, uid = job["metadata"]["namespace"], job["metadata"]["uid"]
        if self._hints.pods_listed:
            wanted = self._hints.pods(uid)
            found = await asyncio.gather(*(self._get(PODS, namespace, name) for name in wanted))
            for name, pod in zip(wanted, found, strict=True):
                if pod is None:
                    self._hints.forget_pod(uid, name)
            pods = [pod for pod in found if pod is not None]
            if not lacks_pods(job, pods):
                return pods
        return await self._list(PODS, namespace, f"{names.MANAGED},{names.POD_OWNER}={uid}")

    async def _get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        try:
            return await self._client.get(kind, namespace, name)
        except NotFound:
            return None

    async def _list(self, kind: Kind, namespace: str, selector: str) -> list[Object]:
        return [item async for item in self._client.items(kind, namespace, labels=selector)]


def lacks_pods(job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a Job's books count pods that are not among those that were heard of. Pure."""
    if is_finished(job):
        completions = int((job.get("spec") or {}).get("completions") or 1)
        return len({index_of(pod) for pod in pods}) < completions
    return bool((job.get("status") or {}).get("active", 0) > len(pods))
