"""Which key is due when: one entry per key, at most one run per key, jittered exponential back-off."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
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
