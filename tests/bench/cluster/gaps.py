"""From the end of one stage's pod to the creation of the next one's, as a watching client sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.bench.cluster.client import Client
from tests.bench.cluster.creations import step_of
from tests.bench.cluster.workload import STEPS, Step


@dataclass(frozen=True)
class Gap:
    """Between two stages of one job, in seconds."""

    job: str
    after: Step
    to_pod: float
    """From the pod's phase Succeeded to the creation of the next stage's pod."""
    to_job: float
    """From the same to the creation of the next stage's Job: the operator's part."""


class Watched:
    """When each stage's Job and pod were created and when its pod succeeded."""

    def __init__(self) -> None:
        self.jobs: dict[tuple[str, Step], float] = {}
        self.pods: dict[tuple[str, Step], float] = {}
        self.succeeded: dict[tuple[str, Step], float] = {}

    def job(self, at: float, found: dict[str, Any]) -> None:
        """Note a Job."""
        self.jobs.setdefault(_key(found), at)

    def pod(self, at: float, found: dict[str, Any]) -> None:
        """Note a pod."""
        self.pods.setdefault(_key(found), at)
        if found.get("status", {}).get("phase") == "Succeeded":
            self.succeeded.setdefault(_key(found), at)

    def gaps(self) -> list[Gap]:
        """Return every gap that was seen whole."""
        found = []
        for (job, step), at in self.succeeded.items():
            following = next(iter(STEPS[STEPS.index(step) + 1 :]), None)
            if following is not None and (job, following) in self.pods:
                to_job = self.jobs[job, following] - at
                found.append(Gap(job, step, self.pods[job, following] - at, to_job))
        return found


def _key(found: dict[str, Any]) -> tuple[str, Step]:
    labels = found["metadata"]["labels"]
    return labels["secateur.dev/job"], step_of(labels)


@asynccontextmanager
async def watched(api: Client, namespace: str) -> AsyncIterator[Watched]:
    """Watch Jobs and pods of a namespace meanwhile. A watch that breaks ends the benchmark."""
    seen = Watched()

    async def jobs() -> None:
        async for change in api.watch(f"/apis/batch/v1/namespaces/{namespace}/jobs"):
            seen.job(change.at, change.object)

    async def pods() -> None:
        async for change in api.watch(f"/api/v1/namespaces/{namespace}/pods"):
            seen.pod(change.at, change.object)

    tasks = [asyncio.create_task(jobs()), asyncio.create_task(pods())]
    try:
        yield seen
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
