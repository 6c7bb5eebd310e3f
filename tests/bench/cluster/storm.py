"""Updates at a steady rate, and how soon the operator answers them."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.bench.cluster.client import Client

EACH = 10
"""Every so manieth update changes the spec, and its answer is waited for."""
ANSWER_SECONDS = 60.0


@dataclass
class Storm:
    """What came of it."""

    updates: int = 0
    seconds: float = 0.0
    """From the first update's start to the last one's end."""
    answers: list[float] = field(default_factory=list)
    """Seconds from the start of a request that changed the spec until the client's own watch saw a status
    with that generation."""


async def storm(api: Client, group: str, names: list[str], rate: float, seconds: float) -> Storm:
    """Update PruningJobs of a collection, one after the other, ``rate`` times per second.

    Nine of ten updates change an annotation; each tenth one changes ``spec.budget.retries``.
    """
    found, begin = Storm(), time.monotonic()
    answers = Answers()
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(answers.listen(api, group))
        updates = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
            one = _update(api, answers, f"{group}/{names[number % len(names)]}", number)
            updates.append(tasks.create_task(one))
        for update in updates:
            await update
        found.updates, found.seconds = len(updates), time.monotonic() - begin
        found.answers = await answers.all()
        watching.cancel()
    return found


async def _update(api: Client, answers: Answers, path: str, number: int) -> None:
    begin = time.monotonic()
    if number % EACH:
        await api.merge(path, {"metadata": {"annotations": {"bench/update": str(number)}}})
    else:
        changed = await api.merge(path, {"spec": {"budget": {"retries": 1 + number // EACH % 20}}})
        answers.expect(changed, begin)


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
