"""The work queue: one entry per key, delays, at most one run per key, jittered exponential back-off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Schedule(Generic[K]):
    """Which key is due when. Pure bookkeeping: the caller brings the time (seconds, any origin)."""

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
        self._running: set[K] = set()
        self._failures: dict[K, int] = {}

    def add(self, key: K, at: float) -> None:
        """Make a key due; the earliest time asked for counts."""
        self._due[key] = min(at, self._due.get(key, at))

    def take(self, now: float) -> K | None:
        """Return the key that has been due longest and is not running, and mark it as running."""
        ready = [(at, key) for key, at in self._due.items() if at <= now and key not in self._running]
        if not ready:
            return None
        _, key = min(ready, key=lambda entry: entry[0])
        del self._due[key]
        self._running.add(key)
        return key

    def next_due(self) -> float | None:
        """Return when the next key that is not running falls due."""
        return min((at for key, at in self._due.items() if key not in self._running), default=None)

    def done(self, key: K) -> None:
        """The run of a key ended well."""
        self._running.discard(key)
        self._failures.pop(key, None)

    def failed(self, key: K, now: float) -> float:
        """The run of a key failed: it falls due again after a back-off; returns the seconds."""
        self._running.discard(key)
        count = self._failures.get(key, 0) + 1
        self._failures[key] = count
        exponent = min(count - 1, 32)
        wait = min(self._first * 2.0**exponent, self._longest) * (0.5 + self._random())
        self.add(key, now + wait)
        return wait

    def __len__(self) -> int:
        return len(self._due) + len(self._running)


class WorkQueue(Generic[K]):
    """A Schedule that workers can wait on."""

    def __init__(self, schedule: Schedule[K], clock: Callable[[], float]) -> None:
        """``clock`` returns seconds and never goes back (``time.monotonic``)."""
        self._schedule = schedule
        self._clock = clock
        self._changed = asyncio.Event()

    def add(self, key: K, after: float = 0.0) -> None:
        """Make a key due after some seconds."""
        self._schedule.add(key, self._clock() + after)
        self._changed.set()

    async def get(self) -> K:
        """Wait for a key that is due; it is the caller's until ``done`` or ``failed``."""
        while True:
            self._changed.clear()
            key = self._schedule.take(self._clock())
            if key is not None:
                return key
            due = self._schedule.next_due()
            timeout = None if due is None else max(0.0, due - self._clock())
            try:
                # not wait_for: before Python 3.12 it may swallow a cancellation
                async with asyncio.timeout(timeout):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        """Give a key back after a run that ended well."""
        self._schedule.done(key)
        self._changed.set()

    def failed(self, key: K) -> float:
        """Give a key back after a run that failed; returns the back-off in seconds."""
        wait = self._schedule.failed(key, self._clock())
        self._changed.set()
        return wait
