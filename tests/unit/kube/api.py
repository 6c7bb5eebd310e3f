"""A scripted API server on the loopback: what it is asked is kept, what it answers is given."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from secateur_operator.gateway.kube.client import KubeClient


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    body: Any


@dataclass
class Api:
    """Answers each request with what ``answer`` returns: HTTP status and body (text as it is, else JSON)."""

    answer: Callable[[Asked], tuple[int, Any]]
    asked: list[Asked] = field(default_factory=list)
    observed: list[tuple[str, str, str]] = field(default_factory=list)
    """Verb, resource and code of each request, as the client's hook was told."""

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request; an answer of status 0 never comes."""
        text = await request.text()
        sent = json.loads(text) if text else None
        asked = Asked(request.method, request.path, dict(request.query), request.content_type, sent)
        self.asked.append(asked)
        status, body = self.answer(asked)
        if status == 0:
            await asyncio.Event().wait()
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body))

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[KubeClient]:
        """Serve, and give a client."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        server = TestServer(app)
        await server.start_server(shutdown_timeout=0.0)
        observed = self.observed
        client = KubeClient(
            Configuration(host=str(server.make_url("")).rstrip("/")),
            lambda verb, resource, code, seconds: observed.append((verb, resource, code)),
        )
        try:
            yield client
        finally:
            await client.close()
            await server.close()
