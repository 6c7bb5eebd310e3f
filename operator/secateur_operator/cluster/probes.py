"""Liveness and readiness over HTTP, in the operator's own event loop: if that hangs, no probe is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

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
