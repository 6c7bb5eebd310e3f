"""The benchmarks' own view of the cluster: raw requests and watches, apart from the operator's."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from kubernetes.aio import client, config

JOBS = "/apis/batch/v1/jobs"
PODS = "/api/v1/pods"
PRUNING_JOBS = "/apis/secateur.dev/v1alpha1/pruningjobs"
_METADATA = "application/json;as=PartialObjectMetadata{};v=v1;g=meta.k8s.io"
AT_ONCE = 24
"""Requests under way when many are made."""


class Refused(Exception):
    """The API server did not do it; the message has its status and its words."""


class WatchEnded(Exception):
    """The API server ended a watch: what comes after would not be seen."""


class Change(NamedTuple):
    """One line of a watch."""

    at: float
    """``time.monotonic`` when it was read."""
    type: str
    object: dict[str, Any]


class Client:
    """Requests to one API server."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server

    async def items(self, path: str, metadata_only: bool = False) -> list[dict[str, Any]]:
        """Return a collection, whole."""
        return (await self._list(path, metadata_only))[0]

    async def _list(self, path: str, metadata_only: bool) -> tuple[list[dict[str, Any]], str]:
        """Return a collection and its version."""
        accept = _METADATA.format("List") if metadata_only else "application/json"
        async with self._session.get(self._server + path, headers={"Accept": accept}) as answer:
            found = json.loads(await self._checked(answer))
            return found["items"] or [], found["metadata"]["resourceVersion"]

    async def create(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create an object in a collection; return it as the server keeps it."""
        async with self._session.post(self._server + path, json=document) as answer:
            made: dict[str, Any] = json.loads(await self._checked(answer))
            return made

    async def merge(self, path: str, change: dict[str, Any]) -> dict[str, Any]:
        """Merge a change into an object (or its ``/status``); return its kind and metadata only."""
        headers = {"Content-Type": "application/merge-patch+json", "Accept": _METADATA.format("")}
        async with self._session.patch(
            self._server + path, data=json.dumps(change), headers=headers
        ) as answer:
            changed: dict[str, Any] = json.loads(await self._checked(answer))
            return changed

    async def delete(self, path: str) -> None:
        """Delete an object; success if it is not there."""
        async with self._session.delete(self._server + path) as answer:
            if answer.status != 404:
                await self._checked(answer)

    async def watch(self, path: str, metadata_only: bool = False) -> AsyncGenerator[Change, None]:
        """Yield what is there (ADDED), and each change from then on. A watch that ends is an error."""
        items, version = await self._list(path, metadata_only)
        now = time.monotonic()
        for item in items:
            yield Change(now, "ADDED", item)
        options = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "7200"}
        accept = _METADATA.format("") if metadata_only else "application/json"
        headers, no_limit = {"Accept": accept}, aiohttp.ClientTimeout(total=None)
        async with self._session.get(
            self._server + path, params=options, headers=headers, timeout=no_limit
        ) as answer:
            if answer.status != 200:
                await self._checked(answer)
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise WatchEnded(f"watch of {path}: {event['object']}")
                yield Change(time.monotonic(), event["type"], event["object"])
        raise WatchEnded(f"the watch of {path} ended")

    async def wait(self, path: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for an object of a collection for which something holds; return it."""
        while True:
            with suppress(WatchEnded):  # it loses nothing here: the next one begins with what is there
                async with aclosing(self.watch(path)) as changes:
                    async for change in changes:
                        if holds(change.object):
                            return change.object

    @staticmethod
    async def _checked(answer: aiohttp.ClientResponse) -> str:
        text = await answer.text()
        if answer.status >= 400:
            raise Refused(f"{answer.method} {answer.url.path}: {answer.status}: {text[:500]}")
        return text


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Client]:
    """Connect by a kubeconfig file."""
    found = client.Configuration()
    await config.load_kube_config(str(kubeconfig), client_configuration=found, persist_config=False)
    trust = ssl.create_default_context(cafile=found.ssl_ca_cert)
    if found.cert_file:
        trust.load_cert_chain(found.cert_file, found.key_file)
    token = await found.get_api_key_with_prefix("BearerToken")
    headers = {"Authorization": token} if token else {}
    lines = 16 * 2**20  # of a watch: a whole object each
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust, limit=0), headers=headers, read_bufsize=lines
    ) as session:
        yield Client(session, found.host)


async def each(items: Iterable[Any], work: Callable[[Any], Awaitable[None]], at_once: int = AT_ONCE) -> None:
    """Do the work for every item, some at once; the first error ends all."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(worker())
