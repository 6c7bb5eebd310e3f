"""The work queue: which key is due when, and workers that wait for it.

One entry per key, at most one run per key at a time, jittered exponential back-off.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_SLACK = 64
"""Outdated heap entries that are kept before the heap is built anew."""


class Schedule(Generic[K]):
    """Pure bookkeeping, O(log n) a call: the caller brings the time (seconds, any origin)."""

    def __init__(
        self,
        random: Callable[[], float],
        first_delay: float = 0.5,
        longest_delay: float = 300.0,
    ) -> None:
        """``random`` returns 0..1; the n-th failure in a row waits ``first_delay * 2**(n-1)``, +-50 %."""
        self._random = random
        self._first = first_delay
        self._longest = longest_delay
        self._due: dict[K, float] = {}
        # an entry counts while it is what _due says and its key is not running; the others are skipped
        self._heap: list[tuple[float, int, K]] = []
        self._serial = count()
        self._running: set[K] = set()
        self._failures: dict[K, int] = {}

    def add(self, key: K, at: float) -> None:
        """Make a key due; the earliest time asked for counts."""
        if at >= self._due.get(key, float("inf")):
            return
        self._due[key] = at
        if key not in self._running:
            self._push(key)

    def take(self, now: float) -> K | None:
        """Return the key that has been due longest and is not running, and mark it as running."""
        due = self.next_due()
        if due is None or due > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        del self._due[key]
        self._running.add(key)
        return key

    def next_due(self) -> float | None:
        """Return when the next key that is not running falls due."""
        while self._heap:
            at, _, key = self._heap[0]
            if key not in self._running and self._due.get(key) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def done(self, key: K) -> None:
        """The run of a key ended well."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: K, now: float, at_least: float = 0.0) -> float:
        """The run of a key failed: it falls due again after a back-off; returns the seconds."""
        count = self._failures.get(key, 0) + 1
        self._failures[key] = count
        exponent = min(count - 1, 32)
        backoff = min(self._first * 2.0**exponent, self._longest) * (0.5 + self._random())
        wait = max(backoff, at_least)
        self._release(key)
        self.add(key, now + wait)
        return wait

    def overdue(self, now: float) -> list[float]:
        """Return since when each key that is due and not running waits; any thread may ask."""
        entries = list(self._due.items())
        return [at for key, at in entries if at <= now and key not in self._running]

    def __len__(self) -> int:
        return len(self._due.keys() | self._running)

    def _release(self, key: K) -> None:
        self._running.discard(key)
        if key in self._due:
            self._push(key)

    def _push(self, key: K) -> None:
        heapq.heappush(self._heap, (self._due[key], next(self._serial), key))
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)


@dataclass(frozen=True)
class Backlog:
    """What is due and that no worker has taken."""

    depth: int
    """How many keys."""
    oldest_seconds: float
    """For how long the first of them has been due; 0 if there is none."""


def _unheard(_seconds: float) -> None:
    return None


class WorkQueue(Generic[K]):
    """One entry per key; a key that is out with a worker is not given out again before it is back."""

    def __init__(
        self,
        schedule: Schedule[K],
        clock: Callable[[], float],
        waited: Callable[[float], None] = _unheard,
    ) -> None:
        """``clock`` returns seconds and never goes back; ``waited`` hears how long each key was overdue."""
        self._schedule = schedule
        self._clock = clock
        self._waited = waited
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._closed = False

    def add(self, key: K, after: float = 0.0) -> None:
        """Make a key due after some seconds."""
        self._schedule.add(key, self._clock() + after)
        self._changed.set()

    async def get(self) -> K | None:
        """Wait for a key that is due; it is the caller's until ``done`` or ``failed``. None: closed."""
        async with self._turn:  # one waits on the schedule, the others on it: a change wakes one worker
            while not self._closed:
                self._changed.clear()
                now = self._clock()
                due = self._schedule.next_due()
                key = self._schedule.take(now)
                if key is not None and due is not None:
                    self._waited(now - due)
                    return key
                try:
                    # not wait_for: before Python 3.12 it may swallow a cancellation
                    async with asyncio.timeout(None if due is None else due - now):
                        await self._changed.wait()
                except TimeoutError:
                    continue
            return None

    def close(self) -> None:
        """Give out no more keys; whoever waits for one gets None."""
        self._closed = True
        self._changed.set()

    def done(self, key: K) -> None:
        """Give a key back after a run that ended well."""
        self._schedule.done(key)
        self._changed.set()

    def failed(self, key: K, at_least: float = 0.0) -> float:
        """Give a key back after a run that failed; returns the back-off in seconds."""
        wait = self._schedule.failed(key, self._clock(), at_least)
        self._changed.set()
        return wait

    def backlog(self) -> Backlog:
        """Return what is due and not taken; any thread may ask."""
        now = self._clock()
        overdue = self._schedule.overdue(now)
        return Backlog(len(overdue), now - min(overdue, default=now))
