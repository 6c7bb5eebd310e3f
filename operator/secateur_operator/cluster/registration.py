"""What Kopf watches, and whom it tells: decorators and one call each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import kopf

from secateur_api.base import GROUP, VERSION

Body = Mapping[str, Any]
Event = Mapping[str, Any]
"""``type`` (None for what a listing found) and ``object``."""


class Listener(Protocol):
    """Hears raw watch events."""

    def heard_pruningjob(self, body: Body, gone: bool = False) -> None:
        """A PruningJob was found, changed, or deleted."""

    def heard_job(self, body: Body, gone: bool = False) -> None:
        """A Job of ours was."""

    def heard_pod(self, body: Body, gone: bool = False) -> None:
        """A pod of ours was."""


def registry(
    listeners: tuple[Listener, ...], login: Callable[[], Awaitable[kopf.AiohttpSession]]
) -> kopf.OperatorRegistry:
    """Register every handler. They only take notes: an error in one is not retried by Kopf."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def session(**_: Any) -> kopf.AiohttpSession:
        return await login()

    @kopf.on.event(GROUP, VERSION, "pruningjobs", registry=handlers)
    async def pruningjob(event: Event, **_: Any) -> None:
        for listener in listeners:
            listener.heard_pruningjob(event["object"], event["type"] == "DELETED")

    @kopf.on.event("batch", "v1", "jobs", registry=handlers)
    async def job(event: Event, **_: Any) -> None:
        for listener in listeners:
            listener.heard_job(event["object"], event["type"] == "DELETED")

    @kopf.on.event("", "v1", "pods", registry=handlers)
    async def pod(event: Event, **_: Any) -> None:
        for listener in listeners:
            listener.heard_pod(event["object"], event["type"] == "DELETED")

    return handlers
