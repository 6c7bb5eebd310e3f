"""The test cluster's own processes, to be stopped and started by disruptive tests."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

KIT_VARIABLE = "SECATEUR_CLUSTER_KIT"
"""The program that brings up a test cluster: ``KIT up`` starts what is missing of it."""


class NoParts(Exception):
    """The cluster's processes are not ours; the message says what is missing."""


@dataclass(frozen=True)
class Parts:
    """Processes by name: ``kube-apiserver``, ``etcd``, ``kubelet`` ..."""

    kit: Path
    processes: Path
    """Folder of files ``NAME.pid``."""

    def kill(self, name: str) -> None:
        """kill -9 one of them."""
        self._signal(name, signal.SIGKILL)

    def pause(self, name: str) -> None:
        """Stop one of them as it is, as a machine that hangs does."""
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let it go on."""
        self._signal(name, signal.SIGCONT)

    def up(self) -> None:
        """Start what is missing, and wait until the node is ready."""
        subprocess.run([str(self.kit), "up"], check=True, capture_output=True)

    def _signal(self, name: str, number: signal.Signals) -> None:
        os.kill(int((self.processes / f"{name}.pid").read_text()), number)


def parts(kubeconfig: Path) -> Parts:
    """Return the processes of the cluster of a kubeconfig; raises NoParts."""
    kit = os.environ.get(KIT_VARIABLE)
    if not kit:
        raise NoParts(f"needs {KIT_VARIABLE}, the program that starts the test cluster")
    processes = kubeconfig.resolve().parent / "run"
    if os.geteuid() != 0 or not (processes / "kube-apiserver.pid").exists():
        raise NoParts(f"needs root, and the cluster's processes in {processes.name}/ beside KUBECONFIG")
    return Parts(Path(kit), processes)
