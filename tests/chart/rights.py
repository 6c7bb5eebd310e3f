"""Rights that a role gives, and requests that an API server took note of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.chart.chart import Document

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class Right(NamedTuple):
    """What may be asked, or was."""

    verb: str
    group: str
    resource: str
    """With its subresource: ``pods/log``."""


def given(roles: list[Document]) -> set[Right]:
    """Return what some roles give; fails at a wildcard."""
    found = {
        Right(verb, group, resource)
        for role in roles
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert not [right for right in found if "*" in right]
    return found


class Audit:
    """The API server's own record of requests."""

    def __init__(self, folder: Path) -> None:
        """Its files go to ``folder``."""
        self._policy, self._log = folder / "audit-policy.yaml", folder / "audit.log"
        self._policy.write_text(yaml.safe_dump(POLICY))

    @property
    def options(self) -> dict[str, str]:
        """Options of kube-apiserver."""
        return {"audit-policy-file": str(self._policy), "audit-log-path": str(self._log)}

    def used(self, user: str) -> set[Right]:
        """Return what a user asked of resources."""
        return {right for right, _ in self._requests(user)}

    def refused(self, user: str) -> set[Right]:
        """Return what a user asked and was forbidden."""
        return {right for right, code in self._requests(user) if code == 403}

    def _requests(self, user: str) -> Iterator[tuple[Right, int]]:
        for line in self._log.read_text().splitlines():
            entry = json.loads(line)
            about = entry.get("objectRef", {})
            if entry["user"]["username"] != user or "resource" not in about:
                continue
            parts = [about["resource"], about.get("subresource")]
            resource = "/".join(part for part in parts if part)
            right = Right(entry["verb"], about.get("apiGroup", ""), resource)
            yield right, entry.get("responseStatus", {}).get("code", 0)
