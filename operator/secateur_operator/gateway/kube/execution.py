"""A command in a pod, and its output as it comes: ``exec``, which goes the way that logs go.

So it needs no port, and no network policy is in its way.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient

from secateur_operator.gateway.kube.client import KubeClient
from secateur_operator.gateway.kube.errors import error_of, unreachable
from secateur_operator.gateway.kube.names import PODS, STAGE_CONTAINER

_PROTOCOL = "v4.channel.k8s.io"
_STDOUT, _STDERR, _END = 1, 2, 3
"""First byte of each message."""
_SILENCE_SECONDS = 120.0
_RIGHT = b"who runs this needs the right to get pods/exec, from Kubernetes 1.35 on to create it too"
Hear = Callable[[str], None]
"""Told of each line of standard error as it comes."""


class Output:
    """What a command writes; raises Transient if the connection fails."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, what: str, hear: Hear) -> None:
        self._socket = socket
        self._what = what
        self._hear = hear
        self._rest = b""
        self._line = b""
        self._is_over = False
        self.failure = "the connection was lost"
        """How the command ended, if it did not do well."""

    async def read(self, most: int) -> bytes:
        """Return the next bytes of standard output, at most so many; none at its end."""
        while not self._rest and not self._is_over:
            await self._receive()
        found, self._rest = self._rest[:most], self._rest[most:]
        return found

    async def _receive(self) -> None:
        try:
            message = await self._socket.receive(timeout=_SILENCE_SECONDS)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unreachable(self._what, error) from error
        if message.type is not aiohttp.WSMsgType.BINARY:
            self._is_over = True
            return
        channel, content = message.data[0], message.data[1:]
        if channel == _STDOUT:
            self._rest = content
        elif channel == _STDERR:
            *lines, self._line = (self._line + content).split(b"\n")
            for line in lines:
                self._hear(line.decode(errors="replace"))
        elif channel == _END and content:  # the end itself is the connection's: more may be on its way
            self.failure = _failure(json.loads(content))


def _failure(status: Mapping[str, Any]) -> str:
    """Return how a command ended; the API server's message would repeat the command."""
    causes = (status.get("details") or {}).get("causes") or []
    codes = [cause.get("message") for cause in causes if cause.get("reason") == "ExitCode"]
    return f"exit code {codes[0]}" if codes else str(status.get("message", ""))


@contextlib.asynccontextmanager
async def execute(
    client: KubeClient, namespace: str, pod: str, command: Sequence[str], hear: Hear
) -> AsyncIterator[Output]:
    """Run a command in a pod; its standard input ends with the block, or with this process.

    Raises GatewayError.
    """
    what = f"get pods/exec {pod} in namespace {namespace}"
    query = [("container", STAGE_CONTAINER), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
    query += [("command", word) for word in command]
    async with ApiClient(client.configuration) as api:
        try:
            _, url, headers, *_ = await api.param_serialize(
                "GET", PODS.path(namespace, pod, "exec"), query_params=query, auth_settings=["BearerToken"]
            )
            session = api.rest_client.pool_manager = api.rest_client._create_pool_manager()
            socket = await session.ws_connect(
                url, headers=headers, protocols=(_PROTOCOL,), proxy=client.configuration.proxy, max_msg_size=0
            )
        except aiohttp.WSServerHandshakeError as error:
            body = _RIGHT if error.status == 403 else error.message.encode()
            raise error_of(what, error.status, body) from error
        except (aiohttp.ClientError, OSError, TimeoutError, config.ConfigException) as error:
            raise unreachable(what, error) from error
        async with socket:
            yield Output(socket, what, hear)
