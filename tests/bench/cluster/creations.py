"""Counts, by own watches, the Jobs that are really created, and everything that an operator hears."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from secateur_api import Stage
from tests.bench.cluster.client import JOBS, PODS, PRUNING_JOBS, Client
from tests.bench.cluster.workload import STEPS, Step

OURS = "labelSelector=app.kubernetes.io/managed-by=secateur"


def step_of(labels: dict[str, str]) -> Step:
    """Return the step that a Job or pod is for."""
    number = labels.get("secateur.dev/round")
    return Step(Stage(labels["secateur.dev/stage"]), int(number) if number else None)


class Creations:
    """How many Jobs were made for each step of each PruningJob."""

    def __init__(self) -> None:
        self.jobs: Counter[tuple[str, Step]] = Counter()
        self.heard = 0
        """Watch events of PruningJobs, of our Jobs and of their pods."""
        self._seen: set[str] = set()

    def count(self, metadata: dict[str, Any]) -> None:
        """Count a Job, unless it was seen before."""
        uid, labels = metadata["uid"], metadata["labels"]
        if uid in self._seen:
            return
        self._seen.add(uid)
        self.jobs[labels["secateur.dev/job"], step_of(labels)] += 1

    def duplicates(self) -> int:
        """How many Jobs there are beyond one for each step."""
        return sum(count - 1 for count in self.jobs.values())

    def lost(self, names: Iterable[str]) -> int:
        """How many steps of these PruningJobs never got a Job."""
        return sum(self.jobs[name, step] == 0 for name in names for step in STEPS)


@asynccontextmanager
async def counted(api: Client) -> AsyncIterator[Creations]:
    """Count meanwhile. A watch that breaks ends the benchmark: its count would be wrong."""
    found = Creations()

    async def watching(path: str) -> None:
        async for change in api.watch(path, metadata_only=True):
            found.heard += 1
            if path.startswith(JOBS) and change.type != "DELETED":
                found.count(change.object["metadata"])

    paths = (PRUNING_JOBS, f"{JOBS}?{OURS}", f"{PODS}?{OURS}")
    tasks = [asyncio.create_task(watching(path)) for path in paths]
    try:
        yield found
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
