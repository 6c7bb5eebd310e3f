"""``secateur operator`` as a real process beside the cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cluster_kit.cluster import IMAGE
from tests.cluster_kit.waiting import wait_until
from tests.control_plane.processes import free_ports

START_SECONDS = 30.0
STOP_SECONDS = 15.0
_TAIL = 60


class Operator:
    """One operator that serves some namespaces; started again it appends to the same log."""

    def __init__(self, kubeconfig: Path, namespaces: Sequence[str], log: Path, *options: str) -> None:
        """``options`` are added to the command line; the lease is in the first namespace."""
        self.log = log
        self.metrics_port, self.health_port = free_ports(2)
        self._env = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        program = str(Path(sys.executable).with_name("secateur"))
        self._command = [
            *(program, "operator", "--log-format", "json"),
            *(word for one in namespaces for word in ("--namespace", one)),
            *("--lease-namespace", namespaces[0], "--image", IMAGE, "--image-pull-policy", "IfNotPresent"),
            *("--metrics-port", str(self.metrics_port), "--health-port", str(self.health_port)),
            *options,
        ]
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, ready: bool = True) -> None:
        """Start it, and wait until /readyz says so."""
        with self.log.open("ab") as sink:
            self._child = subprocess.Popen(
                self._command, env=self._env, stdout=sink, stderr=subprocess.STDOUT
            )
        if ready:
            wait_until("the operator is ready", self._ready_or_gone, START_SECONDS, self.tail)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._child is not None
        return self._child.pid

    def is_running(self) -> bool:
        """Whether its process lives."""
        return self._child is not None and self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How its process ended; None while it runs, negative for a signal."""
        return None if self._child is None else self._child.poll()

    def is_ready(self) -> bool:
        """Whether /readyz answers 200."""
        return self._answer(self.health_port, "/readyz") is not None

    def metrics(self) -> str:
        """Return what /metrics says."""
        text = self._answer(self.metrics_port, "/metrics")
        assert text is not None, "the operator has no /metrics"
        return text

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end; returns its exit code."""
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        """kill -9, and start again."""
        self.kill()
        self.start()

    def tail(self) -> str:
        """Return the end of its log."""
        return "\n".join(self._lines()[-_TAIL:])

    def unexpected(self, since: int = 0) -> list[str]:
        """Return the lines of the log, from a line on, that an operator in good health does not write."""
        return [line for line in self._lines()[since:] if _is_unexpected(line)]

    def lines_so_far(self) -> int:
        """Return how many lines the log has."""
        return len(self._lines())

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def _ready_or_gone(self) -> bool:
        assert self._child is not None
        code = self._child.poll()
        assert code is None, f"the operator ended with {code}:\n{self.tail()}"
        return self.is_ready()

    def _end(self, number: signal.Signals) -> int:
        assert self._child is not None
        if self._child.poll() is None:
            self._child.send_signal(number)
        try:
            return self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise AssertionError(f"the operator did not end on {number.name}:\n{self.tail()}") from None

    @staticmethod
    def _answer(port: int, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except (urllib.error.URLError, OSError):
            return None


def _is_unexpected(line: str) -> bool:
    """Errors, and whatever is no JSON line: a traceback, a warning of the interpreter."""
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        return True
    return str(entry.get("level", "")).lower() in ("error", "critical") or "Traceback" in line
