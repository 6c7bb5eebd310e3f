"""The loop: changes into the queue, workers out of it, and a resync that repairs what was missed."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Sequence
from enum import Enum
from typing import Protocol

from secateur_operator.engine.queue import Schedule, WorkQueue
from secateur_operator.engine.reconciler import REFUSED_SECONDS, Reconciler, reference
from secateur_operator.gateway.protocol import (
    Conflict,
    Elsewhere,
    Gateway,
    GatewayError,
    Key,
    NotFound,
    NotLeader,
    Refused,
    Transient,
)

log = logging.getLogger(__name__)

LONGEST_DELAY_SECONDS = 300.0
"""The longest wait after a pass that failed."""
RESYNC_SECONDS = 300.0
"""How often every PruningJob is looked at whether or not something was heard of it."""


ELSEWHERE_SECONDS = 60.0
"""How often a namespace that another operator serves is looked at."""


class Result(str, Enum):
    """How a pass ended."""

    DONE = "done"
    CONFLICT = "conflict"
    """Something changed under it; it is done again at once."""
    FAULT = "fault"
    """The cluster did not do what was asked; it is done again after a back-off."""
    DEFECT = "defect"
    """An error in Secateur."""
    NOT_LEADER = "not_leader"


class Observer(Protocol):
    """Hears what the loop does; for metrics."""

    def waited(self, seconds: float) -> None:
        """A key that was due so long ago begins its pass."""

    def passed(self, result: Result, seconds: float) -> None:
        """A pass has ended."""


class _Nobody:
    def waited(self, seconds: float) -> None:
        return None

    def passed(self, result: Result, seconds: float) -> None:
        return None


NOBODY: Observer = _Nobody()


def work_queue(longest_delay: float = LONGEST_DELAY_SECONDS, observer: Observer = NOBODY) -> WorkQueue[Key]:
    """Make the queue that ``run_forever`` works off."""
    schedule: Schedule[Key] = Schedule(random.random, longest_delay=longest_delay)
    return WorkQueue(schedule, time.monotonic, observer.waited)


async def run_forever(
    gateway: Gateway,
    reconciler: Reconciler,
    queue: WorkQueue[Key],
    workers: int = 1,
    observer: Observer = NOBODY,
) -> None:
    """Reconcile until cancelled, or until the queue is closed: then the passes at work are finished.

    A defect in one pass is logged and backed off, never fatal to others.
    """
    async with asyncio.TaskGroup() as tasks:
        feeders = [
            tasks.create_task(_listen(gateway, queue), name="changes"),
            tasks.create_task(_resync(gateway, queue), name="resync"),
        ]
        async with asyncio.TaskGroup() as pool:
            for number in range(workers):
                pool.create_task(_work(reconciler, queue, observer), name=f"worker {number}")
        for feeder in feeders:
            feeder.cancel()


async def first_of(*work: Awaitable[object]) -> None:
    """Work until one of these ends or raises, then cancel the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def spread_over(keys: Sequence[Key], seconds: float) -> list[tuple[Key, float]]:
    """Give each key its own moment within some seconds, evenly."""
    return [(key, seconds * number / len(keys)) for number, key in enumerate(keys)]


async def _listen(gateway: Gateway, queue: WorkQueue[Key]) -> None:
    async for key in gateway.changes():
        queue.add(key)


async def _resync(gateway: Gateway, queue: WorkQueue[Key]) -> None:
    spread = 0.0  # what is there at the start is looked at now, later looks are spread over the time
    while True:
        try:
            keys = await gateway.keys()
        except GatewayError as error:
            log.warning("resync failed: %s", error)
        else:
            for key, after in spread_over(keys, spread):
                queue.add(key, after)
            spread = RESYNC_SECONDS
        await asyncio.sleep(RESYNC_SECONDS)


async def _work(reconciler: Reconciler, queue: WorkQueue[Key], observer: Observer) -> None:
    while (key := await queue.get()) is not None:
        began = time.monotonic()
        result = await _pass(reconciler, queue, key)
        observer.passed(result, time.monotonic() - began)


async def _pass(reconciler: Reconciler, queue: WorkQueue[Key], key: Key) -> Result:
    """Do one pass and give the key back, with the time of its next one."""
    extra = reference(key)
    try:
        after = await reconciler.reconcile(key)
    except Conflict as error:
        log.debug("%s; reading again", error, extra=extra)
        queue.done(key)
        queue.add(key)
        return Result.CONFLICT
    except NotLeader as error:
        log.debug("%s", error, extra=extra)
        queue.failed(key)
        return Result.NOT_LEADER
    except Elsewhere as error:
        log.debug("%s", error, extra=extra)
        queue.done(key)
        queue.add(key, ELSEWHERE_SECONDS)
        return Result.NOT_LEADER
    except NotFound as error:  # the PruningJob is going, or its namespace is
        log.debug("%s", error, extra=extra)
        queue.failed(key)
        return Result.CONFLICT
    except Refused as error:
        words = f"{error}; {error.remedy}" if error.remedy else str(error)
        log.warning("%s; again in %.0f s", words, REFUSED_SECONDS, extra=extra)
        queue.done(key)
        queue.add(key, REFUSED_SECONDS)
        return Result.FAULT
    except GatewayError as error:
        asked = error.retry_after if isinstance(error, Transient) else None
        log.warning("%s; again in %.1f s", error, queue.failed(key, asked or 0.0), extra=extra)
        return Result.FAULT
    except Exception:
        log.exception("a defect; again in %.1f s", queue.failed(key), extra=extra)
        return Result.DEFECT
    queue.done(key)
    if after is not None:
        queue.add(key, after)
    return Result.DONE
