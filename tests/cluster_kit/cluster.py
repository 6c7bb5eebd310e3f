"""kubectl, as a user has it, on a cluster that tests may write to."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.control_plane.access import own_cluster
from tests.control_plane.kubectl import Kubectl
from tests.control_plane.kubectl import Refused as Refused

IMAGE = os.environ.get("SECATEUR_E2E_IMAGE", "localhost/secateur-jobs:dev")
"""The stage image that the cluster's nodes have, or can pull."""


class NoCluster(Exception):
    """There is no cluster to test on; the message says what is missing."""


class Cluster(Kubectl):
    """A cluster with real nodes."""

    def apply(self, *documents: dict[str, Any]) -> None:
        """Run ``kubectl apply`` on them."""
        self.kubectl("apply", "-f", "-", stdin="\n---\n".join(json.dumps(one) for one in documents))

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        """Return an object, None if it is not there."""
        text = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def list(self, kind: str, namespace: str, *words: str) -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        items: list[dict[str, Any]] = json.loads(
            self.kubectl("get", kind, "-n", namespace, "-o", "json", *words)
        )["items"]
        return items


def connect() -> Cluster:
    """Return the cluster of KUBECONFIG, with the CRD installed; raises NoCluster, WrongContext."""
    kubeconfig = own_cluster()
    if kubeconfig is None:
        raise NoCluster("needs KUBECONFIG with real nodes")
    cluster = Cluster(kubeconfig)
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    if not any(_is_ready(node) for node in nodes):
        raise NoCluster("KUBECONFIG's cluster has no node that is Ready")
    cluster.install_crd()
    return cluster


def _is_ready(node: dict[str, Any]) -> bool:
    fake = node["metadata"].get("annotations", {}).get("kwok.x-k8s.io/node")
    ready = {one["type"]: one["status"] for one in node["status"].get("conditions", [])}
    return not fake and ready.get("Ready") == "True"
