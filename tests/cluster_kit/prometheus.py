"""A real Prometheus that scrapes an operator."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster_kit.waiting import wait_until
from tests.control_plane.processes import free_ports


class NoPrometheus(Exception):
    """It cannot be had; the message says what is missing."""


@dataclass(frozen=True)
class Prometheus:
    """A running server."""

    port: int

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return what an instant query finds; raises HTTPError where it is no PromQL."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found


@contextlib.contextmanager
def prometheus(folder: Path, target: int, seconds: int = 2) -> Iterator[Prometheus]:
    """Run one that scrapes a port of this machine every so many seconds. Raises NoPrometheus."""
    program = shutil.which("prometheus")
    if program is None:
        raise NoPrometheus("needs prometheus on PATH (apt-get install prometheus)")
    job = {"job_name": "secateur", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
    config = {"global": {"scrape_interval": f"{seconds}s"}, "scrape_configs": [job]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    (port,) = free_ports(1)
    command = [
        *(program, f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'tsdb'}"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("ab") as sink:
        child = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)
    try:
        server = Prometheus(port)
        wait_until("Prometheus scrapes the operator", lambda: _scrapes(server), 30, child.poll)
        yield server
    finally:
        child.terminate()
        child.wait()


def _scrapes(server: Prometheus) -> bool:
    try:
        return any(one["value"][1] == "1" for one in server.query("up"))
    except OSError:
        return False
