"""Child processes with a log file each."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

STOP_SECONDS = 15.0
LOG_LINES = 20


class StartFailed(RuntimeError):
    """A process ended, or was not ready in time; the message has the end of its log."""


class Process:
    """One child process; what it says goes to ``FOLDER/NAME.log``."""

    def __init__(self, folder: Path, name: str, command: list[str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as sink:
            self._child = subprocess.Popen(
                command, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until ``ready``; raises StartFailed if it ends before, or if it takes longer."""
        limit = time.monotonic() + seconds
        while not ready():
            if self._child.poll() is not None:
                raise StartFailed(f"{self.name} ended with {self._child.returncode}:\n{self._tail()}")
            if time.monotonic() > limit:
                raise StartFailed(f"{self.name} was not ready after {seconds:.0f} s:\n{self._tail()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, by force if it does not listen."""
        self._child.terminate()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])


def free_ports(count: int) -> list[int]:
    """Return different ports of the loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]
