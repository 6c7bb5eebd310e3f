"""The loop: changes into the queue, workers out of it, and a resync that repairs what was missed."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from secateur_operator.engine.queue import Schedule, WorkQueue
from secateur_operator.engine.reconciler import Reconciler
from secateur_operator.gateway.protocol import Conflict, Gateway, GatewayError, Key

log = logging.getLogger(__name__)

LONGEST_DELAY_SECONDS = 300.0
"""The longest wait after a pass that failed."""
RESYNC_SECONDS = 300.0
"""How often every PruningJob is looked at whether or not something was heard of it."""


async def run_forever(
    gateway: Gateway,
    reconciler: Reconciler,
    workers: int = 1,
    longest_delay: float = LONGEST_DELAY_SECONDS,
) -> None:
    """Reconcile until cancelled. A defect in one pass is logged and backed off, never fatal to others."""
    queue: WorkQueue[Key] = WorkQueue(Schedule(random.random, longest_delay=longest_delay), time.monotonic)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_listen(gateway, queue))
        tasks.create_task(_resync(gateway, queue))
        for _ in range(workers):
            tasks.create_task(_work(reconciler, queue))


async def _listen(gateway: Gateway, queue: WorkQueue[Key]) -> None:
    async for key in gateway.changes():
        queue.add(key)


async def _resync(gateway: Gateway, queue: WorkQueue[Key]) -> None:
    while True:
        try:
            for key in await gateway.keys():
                queue.add(key)
        except GatewayError as error:
            log.warning("resync failed: %s", error)
        await asyncio.sleep(RESYNC_SECONDS)


async def _work(reconciler: Reconciler, queue: WorkQueue[Key]) -> None:
    while True:
        key = await queue.get()
        try:
            after = await reconciler.reconcile(key)
        except Conflict as error:
            log.debug("%s/%s: %s; reading again", *key, error)
            queue.done(key)
            queue.add(key)
        except GatewayError as error:
            log.warning("%s/%s: %s; again in %.1f s", *key, error, queue.failed(key))
        except Exception:
            log.exception("%s/%s: a defect; again in %.1f s", *key, queue.failed(key))
        else:
            queue.done(key)
            if after is not None:
                queue.add(key, after)
