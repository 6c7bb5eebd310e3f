"""Lines between the leader of a team and its followers: small JSON messages over TCP."""

from __future__ import annotations

import json
import socket
from typing import Any

from secateur_api.conditions import Reason
from secateur_jobs.runtime.errors import Retryable

_KEEPALIVE = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 6}
"""A node that is gone without a word is noticed after 90 seconds."""
_LONGEST = 64 * 1024
_GREETING_SECONDS = 10.0


def lost(what: str) -> Retryable:
    """Return the fault of a team that has lost a process."""
    return Retryable(
        Reason.WORKER_LOST, f"spec.fineTune.workers: another worker is lost ({what}); the round starts again"
    )


class Line:
    """One end of a line; what is sent before the other end goes is still heard."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        connection.settimeout(None)
        self._socket = connection
        self._rest = b""

    def tell(self, **message: Any) -> None:
        """Send a message; raises Retryable(WORKER_LOST)."""
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise lost(f"it cannot be told: {error.strerror or error}") from None

    def hear(self, seconds: float | None = None) -> dict[str, Any] | None:
        """Return the next message; None if none came in time. Raises Retryable(WORKER_LOST)."""
        while b"\n" not in self._rest:
            self._socket.settimeout(seconds)
            try:
                got = self._socket.recv(4096)
            except TimeoutError:
                return None
            except OSError as error:
                raise lost(error.strerror or str(error)) from None
            self._rest += got
            if not got or len(self._rest) > _LONGEST:
                raise lost("it has ended")
        text, _, self._rest = self._rest.partition(b"\n")
        try:
            message = json.loads(text)
        except ValueError:
            raise lost("it speaks another language") from None
        if not isinstance(message, dict):
            raise lost("it speaks another language")
        return message

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def greeting(line: Line, key: str) -> int | None:
    """Return the rank that a caller says it has; None for a stranger, or one that says nothing."""
    try:
        message = line.hear(_GREETING_SECONDS)
    except Retryable:
        return None
    if message is None or message.get("key") != key or not isinstance(message.get("rank"), int):
        return None
    return int(message["rank"])
