"""One operator: it stands by, leads, and ends in order.

Liveness and readiness are served over HTTP in the operator's own event loop: if that hangs, no probe is
answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from secateur_operator.cluster.leadership import Place
from secateur_operator.cluster.metrics.operator import OperatorMetrics
from secateur_operator.cluster.territory import Territory
from secateur_operator.cluster.watches import Watches
from secateur_operator.engine.loop import run_forever
from secateur_operator.engine.queue import WorkQueue
from secateur_operator.engine.reconciler import Reconciler, Watcher
from secateur_operator.gateway.kube.client import KubeClient
from secateur_operator.gateway.kube.gateway import KubeGateway
from secateur_operator.gateway.kube.names import PRUNING_JOBS
from secateur_operator.gateway.protocol import GatewayError, Key, NotFound

Check = Callable[[], str | None]
"""Returns what is wrong; None if all is well."""

STUCK_SECONDS = 300.0
"""A key that is due and waits for so long means that no worker gets on."""


class Probes:
    """Serves ``/livez`` and ``/readyz`` on a port of all addresses."""

    def __init__(self, port: int, live: Check, ready: Check) -> None:
        self._port = port
        app = web.Application()
        app.router.add_get("/livez", _handler(live))
        app.router.add_get("/readyz", _handler(ready))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)

    async def start(self) -> None:
        """Listen; raises OSError if the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, port=self._port).start()

    async def stop(self) -> None:
        """Answer no more."""
        await self._runner.cleanup()


def _handler(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        wrong = check()
        return web.Response(text=f"{wrong or 'ok'}\n", status=500 if wrong else 200)

    return answer


log = logging.getLogger(__name__)

_PASSES_SECONDS = 5.0
"""At the end the passes at work get so long to finish."""
_TERRITORY_SECONDS = 2.0
_SERVED_RETRY_SECONDS = 5.0


class WatchEnded(Exception):
    """A watch cannot go on; the process must start anew."""


@dataclass(frozen=True)
class Parts:
    """What an operator is made of."""

    client: KubeClient
    gateway: KubeGateway
    place: Place
    territory: Territory
    watches: Watches
    queue: WorkQueue[Key]
    metrics: OperatorMetrics
    watcher: Watcher
    namespaces: tuple[str, ...]
    workers: int


class Operator:
    """Runs the parts in their order."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._heard = asyncio.Event()
        self._worked = asyncio.Event()
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop``; then finish the passes at work and give the lease up.

        Raises an ExceptionGroup of LeadershipLost or WatchEnded, or of a defect.
        """
        work = asyncio.create_task(self._work())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            else:
                await self._finish()
        finally:
            stopping.cancel()
            work.cancel()
            await asyncio.wait({work})

    def live(self) -> str | None:
        """Return why this process should be started anew; None if all is well."""
        backlog = self._parts.queue.backlog()
        if self._parts.place.may_write() and backlog.oldest_seconds > STUCK_SECONDS:
            return f"a PruningJob has been due for {backlog.oldest_seconds:.0f} s"
        silent = self._parts.watches.silent()
        return f"{silent} are not watched any more" if silent else None

    def ready(self) -> str | None:
        """Return why this process is not ready, as the leader or to become it; None if it is."""
        if self._stopping:
            return "stopping"
        if not self._heard.is_set():
            return "the API server has not answered yet"
        if self._parts.place.holds and not self._parts.watches.is_complete:
            return "the first listing is under way"
        return None

    async def _work(self) -> None:
        parts = self._parts
        await parts.place.win(self._heard)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(parts.place.keep(), name="lease")
            await self._until_served()
            tasks.create_task(self._watch(), name="watches")
            await parts.place.begin()
            log.info("leading")
            tasks.create_task(parts.gateway.follow_progress(), name="progress")
            tasks.create_task(self._reconcile(), name="passes")

    async def _watch(self) -> None:
        await self._parts.watches.run()
        raise WatchEnded("a watch has ended")

    async def _reconcile(self) -> None:
        parts = self._parts
        reconciler = Reconciler(parts.gateway, lambda: datetime.now(UTC), parts.watcher)
        try:
            # before, each pass would list by label, for which the API server looks at every Job and pod
            await parts.watches.complete()
            await run_forever(parts.gateway, reconciler, parts.queue, parts.workers, parts.metrics)
        finally:
            self._worked.set()

    async def _until_served(self) -> None:
        """Wait until PruningJobs can be read: the CRD is there, and so are the rights."""
        while True:
            try:
                for namespace in self._parts.namespaces or (None,):
                    await anext(self._parts.client.items(PRUNING_JOBS, namespace), None)
            except NotFound as error:
                log.warning("%s; is the CustomResourceDefinition installed?", error)
            except GatewayError as error:
                log.warning("PruningJobs cannot be read: %s", error)
            else:
                self._heard.set()
                return
            await asyncio.sleep(_SERVED_RETRY_SECONDS)

    async def _finish(self) -> None:
        log.info("stopping: finishing the passes at work")
        self._stopping = True
        self._parts.queue.close()
        if self._parts.place.may_write() and self._parts.watches.is_complete:
            try:
                async with asyncio.timeout(_PASSES_SECONDS):
                    await self._worked.wait()
            except TimeoutError:
                log.warning("passes took longer than %.0f s and are given up", _PASSES_SECONDS)
            await self._give_back()
        await self._parts.place.resign()

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(_TERRITORY_SECONDS):
                await self._parts.territory.release()
        except TimeoutError:
            log.debug("the leases of namespaces run out by themselves")
