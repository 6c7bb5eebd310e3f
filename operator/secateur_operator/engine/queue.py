"""The work queue: a schedule that workers wait on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from secateur_operator.engine.schedule import K, Schedule


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
