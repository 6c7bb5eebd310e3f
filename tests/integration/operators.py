"""Operators as real processes against a real API server, each test in a namespace of its own."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.api.server import Server
from tests.cluster_kit.operator import Operator
from tests.cluster_kit.waiting import wait_until
from tests.unit.control.jobs import document

LEASE = "secateur-operator"


class Place:
    """A namespace, and the operators that serve it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.namespace = f"d-operator-{secrets.token_hex(4)}"
        self._folder = folder
        self.operators: list[Operator] = []

    def operator(self, *options: str) -> Operator:
        """Make one; it is not started yet."""
        log = self._folder / f"{self.namespace}-{len(self.operators)}.log"
        found = Operator(self.server.kubeconfig, [self.namespace], log, *options)
        self.operators.append(found)
        return found

    def pair(self) -> tuple[Operator, Operator]:
        """Start two; the first leads, the second stands by."""
        first, second = self.operator(), self.operator()
        first.start()
        wait_until("the first leads", lambda: leads(first), 20, first.tail)
        second.start()
        wait_until("the second stands by", lambda: "standing by" in second.tail(), 10, second.tail)
        return first, second

    def submit(self, name: str, **spec: Any) -> None:
        """Create a PruningJob; without a store in its spec it cannot run."""
        wanted = document(**spec)
        wanted["metadata"] = {"name": name, "namespace": self.namespace}
        self.server.kubectl("create", "-f", "-", document=wanted)

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """Read an object."""
        found: dict[str, Any] = json.loads(
            self.server.kubectl("get", kind, name, "-n", self.namespace, "-o", "json")
        )
        return found

    def there(self, kind: str, name: str) -> bool:
        """Whether an object is there."""
        return bool(self.server.kubectl("get", kind, name, "-n", self.namespace, "--ignore-not-found"))

    def holder(self) -> str:
        """Return who holds the lease; empty if nobody does."""
        return str(self.read("lease", LEASE)["spec"].get("holderIdentity") or "")

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """Return a condition of a PruningJob; empty if it has none."""
        found = self.read("pruningjob", name).get("status", {}).get("conditions", [])
        return next((one for one in found if one["type"] == kind), {})

    def wait_until_stalled(self, name: str, seconds: float = 15) -> None:
        """Wait until an operator has said what is wrong with a PruningJob."""
        wait_until(
            f"{name} is stalled",
            lambda: self.condition(name, "Stalled").get("reason") == "InvalidSpec",
            seconds,
            lambda: [one.tail() for one in self.operators],
        )


@contextmanager
def place(server: Server, folder: Path) -> Iterator[Place]:
    """Make a namespace with a lease that nobody holds, so that the first operator leads at once."""
    found = Place(server, folder)
    server.kubectl("create", "namespace", found.namespace)
    try:
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": found.namespace},
        }
        server.kubectl("create", "-f", "-", document=lease)
        yield found
    finally:
        for one in found.operators:
            if one.is_running():
                one.kill()
        server.kubectl("delete", "namespace", found.namespace, "--wait=false")


def leads(operator: Operator) -> bool:
    """Whether an operator says that it leads."""
    return "secateur_leader 1.0" in operator.metrics()


OpenPlace = Callable[[], Place]
