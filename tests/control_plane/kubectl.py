"""kubectl, as a user has it, on an API server that tests may write to."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.control_plane.access import kubectl

CRD = Path(__file__).parents[2] / "crds" / "secateur.dev_pruningjobs.yaml"
SERVED_SECONDS = 30.0


class Refused(AssertionError):
    """kubectl ended with an error; the message is what it said."""


@dataclass(frozen=True)
class Kubectl:
    """An API server by its kubeconfig."""

    kubeconfig: Path

    def kubectl(
        self, *words: str, stdin: str | bytes | None = None, document: dict[str, Any] | None = None
    ) -> str:
        """Run kubectl and return what it prints; raises Refused. ``document`` goes to stdin as JSON."""
        sent = stdin if document is None else json.dumps(document)
        sent = sent.encode() if isinstance(sent, str) else sent
        done = subprocess.run(self.command(*words), input=sent, capture_output=True, check=False)
        if done.returncode != 0:
            raise Refused(f"kubectl {' '.join(words)}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode(errors="replace")

    def command(self, *words: str) -> list[str]:
        """Return the command line."""
        return [kubectl(), "--kubeconfig", str(self.kubeconfig), *words]

    def install_crd(self) -> None:
        """Install the CRD as it is in the repository, and wait until it is served."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
        limit = time.monotonic() + SERVED_SECONDS
        while "pruningjobs" not in self.kubectl("api-resources", "--api-group=secateur.dev", "-o", "name"):
            if time.monotonic() > limit:
                raise TimeoutError(f"PruningJobs are not served after {SERVED_SECONDS:.0f} s")
            time.sleep(0.1)
