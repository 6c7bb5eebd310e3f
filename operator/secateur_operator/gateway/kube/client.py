"""Requests to the API server as plain dicts. Nothing is retried here: that is the work queue's business."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from secateur_operator.gateway.kube.errors import error_of, unreachable
from secateur_operator.gateway.kube.names import Kind
from secateur_operator.gateway.protocol import Transient

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
CHUNK = 500
"""Objects per page of a listing: it bounds memory and the time that decoding holds the event loop."""
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

Object = dict[str, Any]
Observe = Callable[[str, str, str, float], None]
"""Told of each request: verb, resource (``jobs``, ``pods/log``), HTTP status or ``error``, seconds."""


def _nobody(_verb: str, _resource: str, _code: str, _seconds: float) -> None:
    return None


class KubeClient:
    """A connection to one API server; open it with :meth:`connect`, and ``close`` it.

    Every call raises GatewayError, classified by :mod:`secateur_operator.gateway.kube.errors`.
    """

    def __init__(self, configuration: Configuration, observe: Observe = _nobody) -> None:
        configuration.retries = None
        configuration.client_go_retries = False
        # else aiohttp looks for a proxy and a .netrc at each request, in a thread: a fifth of the CPU time
        configuration.client_session_kwargs = {"trust_env": False}
        configuration.proxy = configuration.proxy or _proxy_for(configuration.host)
        self.configuration = configuration
        """Where the API server is and who this process is; its token is kept fresh."""
        self._api = ApiClient(configuration)
        self._observe = observe
        self._renewal: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, observe: Observe = _nobody) -> KubeClient:
        """Connect as ``KUBECONFIG`` says, else as a pod's service account, else as ``~/.kube/config`` says.

        Raises kubernetes.aio.config.ConfigException if none of them is there or right.
        """
        configuration = Configuration()
        if "KUBECONFIG" not in os.environ and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
            return cls(configuration, observe)
        loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
            os.environ.get("KUBECONFIG"), client_configuration=configuration, persist_config=False
        )
        client = cls(configuration, observe)
        client._renewal = asyncio.create_task(_renew(loader, configuration))
        return client

    async def close(self) -> None:
        """Close the connections."""
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewal
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        version: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> Object:
        """Read one object; raises NotFound.

        Without a ``version`` it is the newest; with one, it may be from the API server's cache, but it is not
        older than that. Raises Transient if the cache does not get there.
        """
        query = None if version is None else {"resourceVersion": version}
        return await self._object("get", kind, namespace, name, query=query, timeout=timeout)

    async def items(
        self, kind: Kind, namespace: str | None, *, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Object]:
        """Read a collection, page by page; no namespace reads all of them.

        Raises Transient if the listing has grown too old between two pages: list again.
        """
        query = {"limit": str(CHUNK)}
        if labels:
            query["labelSelector"] = labels
        if fields:
            query["fieldSelector"] = fields
        while True:
            page = await self._object("list", kind, namespace, query=query)
            for item in page.get("items") or []:
                yield item
            following = (page.get("metadata") or {}).get("continue")
            if not following:
                return
            query["continue"] = following

    async def create(
        self,
        kind: Kind,
        namespace: str,
        body: Mapping[str, Any],
        timeout: float = TIMEOUT_SECONDS,
        dry_run: bool = False,
    ) -> Object:
        """Create an object; raises AlreadyExists, Refused (also for a field that is not known).

        NotFound says that the namespace is not there, or is being deleted and takes nothing new. ``dry_run``
        only asks.
        """
        query = {
            "fieldValidation": "Strict",
            **({"dryRun": "All"} if dry_run else {}),
        }  # else a user's misspelt field would be dropped in silence
        return await self._object("create", kind, namespace, query=query, body=body, timeout=timeout)

    async def replace(
        self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any], timeout: float = TIMEOUT_SECONDS
    ) -> Object:
        """Replace an object, if it still has the body's ``resourceVersion``; raises Conflict, NotFound."""
        return await self._object("update", kind, namespace, name, body=body, timeout=timeout)

    async def merge(self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any]) -> Object:
        """Patch an object (RFC 7386); raises NotFound."""
        return await self._object("patch", kind, namespace, name, body=body, content_type=MERGE)

    async def apply_status(
        self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any], manager: str
    ) -> Object:
        """Apply the status of an object on the server's side, as a field manager.

        What the manager applied before and leaves out now vanishes. Raises Conflict if the body's
        ``resourceVersion`` is not the newest, NotFound.
        """
        query = {"fieldManager": manager, "force": "true"}
        return await self._object(
            "patch", kind, namespace, name, "status", query=query, body=body, content_type=APPLY
        )

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete an object in the background, if it has that uid; raises NotFound, Conflict."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        await self._object("delete", kind, namespace, name, body=body)

    async def text(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        subresource: str,
        query: Mapping[str, str],
        timeout: float = TIMEOUT_SECONDS,
    ) -> str:
        """Read a subresource that is text, such as a pod's log."""
        body = await self._request("get", kind, namespace, name, subresource, query=query, timeout=timeout)
        return body.decode(errors="replace")

    async def _object(
        self,
        verb: str,
        kind: Kind,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        timeout: float = TIMEOUT_SECONDS,
    ) -> Object:
        answer = await self._request(
            verb,
            kind,
            namespace,
            name,
            subresource,
            query=query,
            body=body,
            content_type=content_type,
            timeout=timeout,
        )
        try:
            found: Object = json.loads(answer)
        except ValueError as error:
            what = _words(verb, kind.plural, namespace, name)
            raise Transient(f"cannot {what}: the answer is no JSON ({error})") from error
        return found

    async def _request(
        self,
        verb: str,
        kind: Kind,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        timeout: float = TIMEOUT_SECONDS,
    ) -> bytes:
        """Send one request and return the body of its answer."""
        resource = kind.plural if subresource is None else f"{kind.plural}/{subresource}"
        what = _words(verb, resource, namespace, name)
        started, code = time.monotonic(), "error"
        try:
            method, url, headers, sent, form = await self._api.param_serialize(
                _METHODS[verb],
                kind.path(namespace, name, subresource),
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json, */*", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            limit = aiohttp.ClientTimeout(total=timeout)
            answer = await self._api.call_api(method, url, headers, sent, form, _request_timeout=limit)
            content: bytes = await answer.read()  # type: ignore[no-untyped-call]
            code = str(answer.status)
        except (aiohttp.ClientError, OSError, TimeoutError, config.ConfigException) as error:
            raise unreachable(what, error) from error
        finally:
            self._observe(verb, resource, code, time.monotonic() - started)
        if not 200 <= answer.status < 300:
            raise error_of(what, answer.status, content, answer.headers.get("Retry-After"))
        return content


_METHODS = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}


def _proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for a server."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _words(verb: str, resource: str, namespace: str | None, name: str | None) -> str:
    where = "" if namespace is None else f" in namespace {namespace}"
    return f"{verb} {resource}{'' if name is None else f' {name}'}{where}"


async def _renew(loader: Any, configuration: Configuration) -> None:
    """Keep the token of an exec plugin or cloud login fresh; returns at once where there is none."""
    while True:
        try:
            await config.refresh_token(loader, configuration)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError) as error:
            log.warning("the kubeconfig's token could not be renewed: %s", error)
        else:
            return
