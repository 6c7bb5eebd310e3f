"""Process trees: start one that dies with its parent, find all of it, end all of it (Linux)."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05
_LIBC = ctypes.CDLL(None, use_errno=True)


class Entry(NamedTuple):
    """One live process; ``ticks`` (start time) tells it from a later one with the same pid."""

    pid: int
    session: int
    ticks: int


async def start(command: Sequence[str], env: Mapping[str, str], log: IO[bytes]) -> asyncio.subprocess.Process:
    """Start a process in a session of its own that is killed when this process ends. Raises OSError."""
    parent = os.getpid()

    def die_with_parent() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(128 + signal.SIGKILL)

    return await asyncio.create_subprocess_exec(
        *command,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def entry(pid: int) -> Entry | None:
    """Return a live process; None if there is none (a zombie is none)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    return None if fields[0] in "ZX" else Entry(pid, int(fields[3]), int(fields[19]))


def tree(leader: Entry | None, marker: str) -> set[Entry]:
    """Return what lives of a process tree.

    Members are found by the leader's session while it lives, and by ``marker`` (``NAME=value`` in their
    environment), which also finds those that left the session or outlived the leader.
    """
    is_there = leader is not None and entry(leader.pid) == leader
    return {
        found
        for name in os.listdir("/proc")
        if name.isdecimal() and (found := entry(int(name))) is not None
        if (is_there and leader is not None and found.session == leader.pid) or _has_marker(found.pid, marker)
    }


def _has_marker(pid: int, marker: str) -> bool:
    try:
        return marker.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # ended meanwhile, or another user's
        return False


async def end_tree(leader: Entry | None, marker: str, grace: float) -> None:
    """Ask a tree to end (SIGTERM); after ``grace`` seconds make it (SIGKILL). Returns when none is left."""
    known = tree(leader, marker)
    _signal(known, signal.SIGTERM)
    waited = 0.0
    while left := {one for one in known | tree(leader, marker) if entry(one.pid) == one}:
        known |= left
        if waited >= grace:
            _signal(left, signal.SIGKILL)
        await asyncio.sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS


def _signal(entries: set[Entry], number: signal.Signals) -> None:
    for one in entries:
        try:
            os.kill(one.pid, number)
        except ProcessLookupError:
            continue
