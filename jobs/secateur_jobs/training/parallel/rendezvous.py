"""How the processes of a team find each other, and what they say: small JSON messages over TCP, one a line.

The leader leaves its address in the unit's folder. No Service and no rights in the cluster's API are needed;
the pods must reach each other by IP. The address is written anew by every attempt, with a key of its own: who
finds an old one is not answered, and looks again.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from secateur_api.base import Contract
from secateur_api.conditions import Reason
from secateur_api.stage import unit_path
from secateur_jobs.runtime.errors import InvalidInput, Retryable
from secateur_jobs.runtime.store import Store

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
            raise lost(f"it does not answer: {error.strerror or error}") from None

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


JOIN_SECONDS = 600.0
"""How long a process waits for the others: pods start at their own pace."""
_LOOK_SECONDS = 0.5
_CONNECT_SECONDS = 5.0
_FILE = "leader.json"


class _Call(Contract):
    """Where the leader waits."""

    host: str
    port: int
    key: str


@dataclass(frozen=True)
class Met:
    """A team that has met."""

    lines: list[Line]
    """The leader's: one per follower, by rank; a follower's: the one to the leader."""
    host: str
    """The leader's address, as all can reach it."""


def lead(store: Store, unit: str, size: int, seconds: float = JOIN_SECONDS) -> Met:
    """Call the others and wait until all are there; raises Retryable(WORKER_LOST) if one does not come."""
    call_key, deadline = secrets.token_hex(16), time.monotonic() + seconds
    with socket.create_server(("", 0)) as server:
        call = _Call(host=address_of(socket.gethostname()), port=server.getsockname()[1], key=call_key)
        store.write(unit_path(unit, _FILE), call.model_dump_json(by_alias=True).encode())
        present: dict[int, Line] = {}
        while len(present) < size - 1:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = [rank for rank in range(1, size) if rank not in present]
                raise _nobody(f"worker {missing[0]} of 0..{size - 1} did not come", seconds) from None
            line = Line(connection)
            rank = greeting(line, call_key)
            if rank is None or not 0 < rank < size:
                line.close()
                continue
            if rank in present:  # that process was started again
                present[rank].close()
            present[rank] = line
    for line in present.values():
        line.tell(welcome=True)
    return Met([present[rank] for rank in range(1, size)], call.host)


def follow(store: Store, unit: str, rank: int, seconds: float = JOIN_SECONDS) -> Met | None:
    """Find the leader and wait for its first word; None if its work is committed already.

    Raises Retryable(WORKER_LOST) if it cannot be found in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if store.look(unit).result is not None:
            return None
        call = _call(store, unit)
        line = _connected(call, rank) if call is not None else None
        if call is not None and line is not None:
            return Met([line], call.host)
        time.sleep(_LOOK_SECONDS)
    raise _nobody("the first worker was not found", seconds)


def _connected(call: _Call, rank: int) -> Line | None:
    """Return a line on which the leader has said that all are there; None if it is an old call."""
    try:
        line = Line(socket.create_connection((call.host, call.port), _CONNECT_SECONDS))
    except OSError:
        return None
    try:
        line.tell(key=call.key, rank=rank)
        welcome = line.hear()
    except Retryable:
        line.close()
        return None
    if welcome is None or "welcome" not in welcome:
        line.close()
        return None
    return line


def _call(store: Store, unit: str) -> _Call | None:
    said = store.find(unit_path(unit, _FILE))
    try:
        return None if said is None else _Call.model_validate_json(said)
    except ValidationError:  # being replaced by another attempt just now
        return None


def address_of(host: str) -> str:
    """Return the IPv4 address that others reach a host by; the loopback's for a name that nobody knows.

    Raises InvalidInput for one that has IPv6 addresses alone: where Paddle's processes meet is IPv4.
    """
    try:
        return socket.gethostbyname(host)
    except OSError:
        pass
    try:
        socket.getaddrinfo(host, None, socket.AF_INET6)
    except OSError:
        return "127.0.0.1"
    raise InvalidInput(
        Reason.INVALID_SPEC,
        f"spec.fineTune.workers: {host} has no IPv4 address, and Paddle's processes meet over IPv4 alone; "
        "use workers: 1, or a network with both",
    )


def _nobody(what: str, seconds: float) -> Retryable:
    return Retryable(
        Reason.WORKER_LOST,
        f"spec.fineTune.workers: {what} in {seconds:.0f} s; all workers must run at once, and their "
        "pods must reach each other",
    )
