"""kubectl on an API server, as a user has it."""

from __future__ import annotations

import json
import re
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
class Server:
    """An API server that tests may write to."""

    kubeconfig: Path

    def kubectl(self, *words: str, document: dict[str, Any] | None = None) -> str:
        """Run kubectl, with a document on stdin where ``-f -`` asks for it; raises Refused."""
        sent = None if document is None else json.dumps(document)
        done = subprocess.run(self.command(*words), input=sent, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Refused(done.stderr.strip())
        return done.stdout

    def command(self, *words: str) -> list[str]:
        """Return the command line."""
        return [kubectl(), "--kubeconfig", str(self.kubeconfig), *words]

    def install_crd(self) -> None:
        """Install the CRD as it is in the repository, and wait until it is served."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRD))
        limit = time.monotonic() + SERVED_SECONDS
        while "pruningjobs" not in self.kubectl("api-resources", "--api-group=secateur.dev", "-o", "name"):
            if time.monotonic() > limit:
                raise TimeoutError(f"PruningJobs are not served after {SERVED_SECONDS:.0f} s")
            time.sleep(0.1)

    def accepts(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return what the server would store; raises Refused."""
        shown = self.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", document=document)
        found: dict[str, Any] = json.loads(shown)
        return found

    def refuses(self, document: dict[str, Any]) -> dict[str, str]:
        """Return what the server says against a document: field to message. Fails if it takes it."""
        try:
            self.accepts(document)
        except Refused as refused:
            return problems(str(refused))
        raise AssertionError(f"the server takes {json.dumps(document)}")


def problems(said: str) -> dict[str, str]:
    """Return what kubectl names in ``is invalid``: field to message."""
    found = re.search(r"is invalid: *\n?(.*)", said, re.S)
    if found is None:
        raise AssertionError(f"refused for something else: {said}")
    lines = [line.removeprefix("* ") for line in found[1].splitlines() if line.strip()]
    return dict(line.split(": ", 1) for line in lines)
