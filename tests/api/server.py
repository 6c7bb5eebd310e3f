"""What an API server says to PruningJobs."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.control_plane.kubectl import Kubectl
from tests.control_plane.kubectl import Refused as Refused


class Server(Kubectl):
    """An API server that takes PruningJobs."""

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
