"""The real ``secateur operator`` as a process, and what it costs."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.bench.cluster.metrics import Metrics
from tests.bench.job import SECATEUR
from tests.control_plane.processes import Process, free_ports

READY_SECONDS = 180.0


@dataclass
class Operator:
    """A running operator."""

    process: psutil.Process
    metrics_url: str
    health_url: str
    log: Path
    started: float = field(default_factory=time.monotonic)
    seconds_to_ready: float = float("nan")

    def metrics(self) -> Metrics:
        """Read its metrics."""
        with urllib.request.urlopen(self.metrics_url, timeout=30) as answer:
            return Metrics.of(answer.read().decode())

    def is_ready(self) -> bool:
        """Whether it leads and has listed what is there: a standby is ready as well, and does nothing."""
        try:
            # in this order: a scrape takes time itself, and a standby that begins to lead is not ready
            return self._says_ready() and self.metrics().total("secateur_leader") > 0 and self._says_ready()
        except (urllib.error.URLError, OSError):
            return False

    def _says_ready(self) -> bool:
        with urllib.request.urlopen(self.health_url, timeout=5):
            return True

    def memory(self) -> int:
        """Resident bytes now."""
        return int(self.process.memory_info().rss)

    def peak_memory(self) -> int:
        """Most resident bytes so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def cpu_seconds(self) -> float:
        """CPU time so far, user and system."""
        used = self.process.cpu_times()
        return float(used.user + used.system)

    def complaints(self) -> list[str]:
        """Return the lines of its log that are no information."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if '"level": "info"' not in line.lower()]


@contextmanager
def running(kubeconfig: Path, folder: Path, *options: str) -> Iterator[Operator]:
    """Run the operator, ready when this returns; stop it at the end."""
    metrics, health = free_ports(2)
    command = ["env", f"KUBECONFIG={kubeconfig}", SECATEUR, "operator", "--log-format=json"]
    command += [f"--metrics-port={metrics}", f"--health-port={health}", *options]
    process = Process(folder, "operator", command)
    found = Operator(
        psutil.Process(process.pid),
        f"http://127.0.0.1:{metrics}/metrics",
        f"http://127.0.0.1:{health}/readyz",
        process.log,
    )
    try:
        process.wait_until(found.is_ready, READY_SECONDS)
        found.seconds_to_ready = time.monotonic() - found.started
        yield found
    finally:
        process.stop()
