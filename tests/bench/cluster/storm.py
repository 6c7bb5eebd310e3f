"""Updates at a steady rate, and how soon the operator answers them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.bench.cluster.client import PODS, Client

SPECS = 1 / 20
"""Share of the updates that change a spec, and whose answer is waited for."""
AT_ONCE = 64
"""With so many requests under way the rate is not kept any more: the API server would only be drowned."""
ANSWER_SECONDS = 60.0


class Target(NamedTuple):
    """A PruningJob whose stage runs."""

    job: str
    """Path of the PruningJob."""
    pod: str
    """Path of its stage's pod."""


@dataclass
class Storm:
    """What came of it."""

    updates: int = 0
    seconds: float = 0.0
    """From the first update's start to the last one's end."""
    answers: list[float] = field(default_factory=list)
    """Seconds from the start of a request that changed a spec until the client's own watch saw a status
    with that generation."""


async def targets(api: Client, group: str) -> list[Target]:
    """Find the pods that run for a collection of PruningJobs."""
    pods = await api.items(f"{PODS}?fieldSelector=status.phase=Running", metadata_only=True)
    metas = [pod["metadata"] for pod in pods]
    return [
        Target(
            f"{group}/{meta['labels']['secateur.dev/job']}",
            f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}",
        )
        for meta in metas
    ]


async def storm(
    api: Client, group: str, found: Sequence[Target], rate: float, needing: float, seconds: float
) -> Storm:
    """Update one PruningJob of a collection after the other, ``rate`` times per second.

    Of the updates a share ``needing`` needs a look: some change ``spec.budget.wallClock``, the others say
    anew whether the stage's pod is disrupted. The rest say anew that the pod is ready, which decides nothing.
    """
    result, begin, room = Storm(), time.monotonic(), asyncio.Semaphore(AT_ONCE)
    answers = Answers()

    async def update(number: int) -> None:
        try:
            await _update(api, answers, found[number % len(found)], number, needing)
        finally:
            room.release()

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(answers.listen(api, group))
        updates = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
            await room.acquire()
            updates.append(tasks.create_task(update(number)))
        for task in updates:
            await task
        result.updates, result.seconds = len(updates), time.monotonic() - begin
        result.answers = await answers.all()
        watching.cancel()
    return result


async def _update(api: Client, answers: Answers, target: Target, number: int, needing: float) -> None:
    if not _falls(number, SPECS):
        kind = "DisruptionTarget" if _falls(number, needing) else "Ready"
        status = "True" if kind == "Ready" else "False"
        condition = {"type": kind, "status": status, "reason": f"Update{number}"}
        await api.merge(f"{target.pod}/status", {"status": {"conditions": [condition]}})
        return
    begin = time.monotonic()
    another = (
        f"{100_000 + time.monotonic_ns() // 1_000_000 % 1_000_000}s"  # what changes nothing has no answer
    )
    changed = await api.merge(target.job, {"spec": {"budget": {"wallClock": another}}})
    answers.expect(changed, begin)


def _falls(number: int, share: float) -> bool:
    """Whether an update is one of a share of them, evenly spread."""
    return int((number + 1) * share) > int(number * share)


class Answers:
    """Waits for statuses that name a generation."""

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[float, int]]] = {}
        self._expected: list[tuple[str, int, float]] = []
        self._news = asyncio.Event()

    async def listen(self, api: Client, group: str) -> None:
        """Note each status until cancelled."""
        async with aclosing(api.watch(group)) as changes:
            async for change in changes:
                generation = change.object.get("status", {}).get("observedGeneration", 0)
                self._seen.setdefault(change.object["metadata"]["name"], []).append((change.at, generation))
                self._news.set()

    def expect(self, changed: dict[str, Any], begin: float) -> None:
        """A request that began then made this generation."""
        meta = changed["metadata"]
        self._expected.append((meta["name"], meta["generation"], begin))

    async def all(self) -> list[float]:
        """Return the seconds until each answer; raises TimeoutError if one does not come."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while (found := self._found()) is None:
                self._news.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 1.0)
        return found

    def _found(self) -> list[float] | None:
        ats = [
            next((at - begin for at, seen in self._seen.get(name, []) if seen >= wanted), None)
            for name, wanted, begin in self._expected
        ]
        found = [at for at in ats if at is not None]
        return found if len(found) == len(ats) else None
