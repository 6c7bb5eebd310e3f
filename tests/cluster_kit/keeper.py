"""A pod that holds a store's claim, through which a test puts in code and reads results, as a user would."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.cluster_kit.cluster import IMAGE, Cluster

NAME = "keeper"
CLAIM = "artifacts"


def claim(namespace: str, name: str = CLAIM) -> dict[str, Any]:
    """Return a PersistentVolumeClaim of the default storage class."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


class Keeper:
    """Reads and writes ``/store`` by ``kubectl exec``."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        """Make the claim and the pod, and wait until it runs."""
        self._cluster = cluster
        self._namespace = namespace
        cluster.apply(claim(namespace), _pod(namespace))
        cluster.kubectl("wait", "-n", namespace, "--for=condition=Ready", f"pod/{NAME}", "--timeout=90s")

    def write(self, path: str, content: bytes) -> str:
        """Write a file of the store; returns its SHA-256."""
        self._exec("sh", "-c", 'mkdir -p "$(dirname "$0")" && cat >"$0"', f"/store/{path}", stdin=content)
        return hashlib.sha256(content).hexdigest()

    def remove(self, path: str) -> None:
        """Delete a file of the store, if it is there."""
        self._exec("rm", "-f", f"/store/{path}")

    def sha256(self, path: str) -> str:
        """Return a file's SHA-256."""
        return self._exec("sha256sum", f"/store/{path}").split()[0]

    def bytes(self, path: str) -> int:
        """Return a file's size."""
        return int(self._exec("stat", "-c", "%s", f"/store/{path}"))

    def units(self) -> list[str]:
        """Name the committed units."""
        found = self._exec("sh", "-c", "cd /store/units 2>/dev/null && ls -d */result.json || true")
        return [line.split("/")[0] for line in found.split()]

    def _exec(self, *command: str, stdin: bytes | None = None) -> str:
        return self._cluster.kubectl(
            "exec", "-n", self._namespace, "-i", NAME, "--", *command, stdin=stdin or b""
        )


def _pod(namespace: str) -> dict[str, Any]:
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": NAME,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "trap exit TERM; while :; do sleep 3600 & wait; done"],
        "volumeMounts": [{"name": "store", "mountPath": "/store"}],
        "securityContext": restricted,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [{"name": "store", "persistentVolumeClaim": {"claimName": CLAIM}}],
        },
    }
