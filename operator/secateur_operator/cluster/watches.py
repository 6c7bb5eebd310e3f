"""Kopf's watches: whom they tell, how they connect and may act, when their first listings are through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any, Protocol

import aiohttp
import kopf
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from yarl import URL

from secateur_api.base import GROUP, VERSION
from secateur_operator.engine.loop import first_of
from secateur_operator.gateway.kube.client import Observe
from secateur_operator.gateway.kube.names import MANAGED

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


RESOURCES = ("pruningjobs", "jobs", "pods")
_STREAM_SECONDS = 300
"""The server ends a watch after so long; the next begins where it ended."""
SILENT_SECONDS = 2.0 * _STREAM_SECONDS
"""A resource whose watch did not begin anew for so long is not watched any more."""


class Watches:
    """The three watches of one operator; ``run`` them once it leads."""

    def __init__(
        self,
        configuration: Configuration,
        listeners: tuple[Listener, ...],
        namespaces: tuple[str, ...],
        observe: Observe,
        listed: Callable[[str], None],
        take_signals: Callable[[], None],
        selector: str = "",
    ) -> None:
        """No namespace: all. ``selector`` (``key=value,...``) chooses PruningJobs.

        ``observe`` is told of requests, ``listed`` of each resource's first listing.

        ``take_signals`` installs the process's own signal handlers: Kopf replaces them when it starts.
        """
        self._configuration = configuration
        self._listeners = listeners
        self._namespaces = namespaces
        self._observe = observe
        self._listed = listed
        self._take_signals = take_signals
        self._selector = selector
        self._streams: dict[str, set[str]] = {resource: set() for resource in RESOURCES}
        self._began: dict[str, float] = {}
        self._complete = asyncio.Event()

    @property
    def is_complete(self) -> bool:
        """Whether everything that was there at the start has been listed."""
        wanted = max(1, len(self._namespaces))
        return all(len(streams) >= wanted for streams in self._streams.values())

    async def complete(self) -> None:
        """Wait until it has."""
        await self._complete.wait()

    def silent(self) -> str | None:
        """Name a resource that is not watched any more."""
        now = time.monotonic()
        silent = (one for one, began in self._began.items() if now - began > SILENT_SECONDS)
        return next(silent, None)

    async def run(self) -> None:
        """Watch until cancelled; ends or raises if a watch cannot go on.

        Not ``kopf.operator``: at its end that cancels every task of the loop, and these here are not its own.
        """
        tasks = await kopf.spawn_tasks(
            registry=registry(self._listeners, self._login),
            settings=watch_settings(self._selector),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
        )
        self._take_signals()
        await first_of(*tasks)

    async def _login(self) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=self._configuration.host, aiohttp_session=self._session())

    def _session(self) -> aiohttp.ClientSession:
        """Connect as the gateway does; each request carries the token of that moment."""
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._on_start)
        trace.on_request_end.append(self._on_end)
        trace.on_request_exception.append(self._on_exception)
        context = RESTClientObject(self._configuration).ssl_context
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context),
            trust_env=True,
            proxy=self._configuration.proxy,
            trace_configs=[trace],
        )

    async def _on_start(
        self, _session: aiohttp.ClientSession, request: SimpleNamespace, sent: aiohttp.TraceRequestStartParams
    ) -> None:
        request.began = time.monotonic()
        token = await self._configuration.get_api_key_with_prefix("BearerToken")
        if token:
            sent.headers["Authorization"] = token
        if sent.url.query.get("watch") != "true" or sent.url.name not in RESOURCES:
            return
        # Kopf does not say when a listing is through; it is, once the watch from its version on begins
        resource, stream = sent.url.name, sent.url.path
        self._began[resource] = request.began
        if stream not in self._streams[resource]:
            self._streams[resource].add(stream)
            if len(self._streams[resource]) >= max(1, len(self._namespaces)):
                self._listed(resource)
            if self.is_complete:
                self._complete.set()

    async def _on_end(
        self, _session: aiohttp.ClientSession, request: SimpleNamespace, sent: aiohttp.TraceRequestEndParams
    ) -> None:
        self._count(sent.url, str(sent.response.status), request.began)

    async def _on_exception(
        self,
        _session: aiohttp.ClientSession,
        request: SimpleNamespace,
        sent: aiohttp.TraceRequestExceptionParams,
    ) -> None:
        self._count(sent.url, "error", request.began)

    def _count(self, url: URL, code: str, began: float) -> None:
        is_ours = url.name in RESOURCES
        verb = "watch" if url.query.get("watch") == "true" else "list" if is_ours else "get"
        self._observe(verb, url.name if is_ours else "discovery", code, time.monotonic() - began)


class _NoDiffBase(kopf.DiffBaseStorage):
    """Kopf prepares a diff for each event, though no handler here uses it: a seventh of the CPU time."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        raise NotImplementedError("only on.event handlers are registered; they store nothing")


def watch_settings(selector: str = "") -> kopf.OperatorSettings:
    """Return Kopf's settings; measured reasons are in the comments."""
    settings = kopf.OperatorSettings()
    if selector:
        settings.watching.label_selectors[GROUP, VERSION, "pruningjobs"] = selector
    settings.watching.label_selectors["batch", "v1", "jobs"] = MANAGED  # not every Job of the cluster
    settings.watching.label_selectors["", "v1", "pods"] = MANAGED
    settings.watching.server_timeout = _STREAM_SECONDS
    settings.watching.client_timeout = _STREAM_SECONDS + 30
    settings.watching.connect_timeout = 15
    settings.watching.chunk_size = 200  # a page is in memory several times over: with 500, 30 MiB more
    settings.networking.request_timeout = 30
    settings.queueing.idle_timeout = 0.1  # Kopf keeps each object so long: a fast listing fills the memory
    settings.queueing.exit_timeout = 0.5
    # queueing.worker_limit stays unset: a worker keeps its place for as long as it idles
    settings.scanning.disabled = True  # no watch of all namespaces and CRDs, no rights for it
    settings.posting.enabled = False  # events are written by the gateway
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.process.ultimate_exiting_timeout = None
    return settings
