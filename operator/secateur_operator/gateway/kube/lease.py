"""The Lease that says who leads: read and written with its version, nothing decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secateur_operator.gateway.kube.client import KubeClient, Object
from secateur_operator.gateway.kube.names import LEASES
from secateur_operator.gateway.protocol import AlreadyExists, Conflict, NotFound

TIMEOUT_SECONDS = 5.0
"""Half of the deadline within which a leader must renew."""


@dataclass(frozen=True)
class Lease:
    """A Lease's contents."""

    holder: str
    """Identity of the leader; empty after it stepped down."""
    duration_seconds: int
    """How long it holds after a renewal."""
    acquired_at: str | None = None
    """RFC 3339 with microseconds; who holds it by whose clock is not compared, only whether it changed."""
    renewed_at: str | None = None
    transitions: int = 0
    """How often it changed hands."""
    version: str | None = None
    """Its resourceVersion; None if it does not exist yet."""
    uid: str | None = None
    """Sent along: without it the API server makes a Lease anew that was deleted before an update."""


class Leases:
    """Reads and writes one Lease."""

    def __init__(self, client: KubeClient, namespace: str, name: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name

    async def read(self) -> Lease | None:
        """Return the Lease; None if there is none. Raises GatewayError."""
        try:
            body = await self._client.get(LEASES, self._namespace, self._name, timeout=TIMEOUT_SECONDS)
        except NotFound:
            return None
        return _read(body)

    async def write(self, lease: Lease) -> Lease:
        """Create or replace the Lease; return it with its new version.

        One that was deleted meanwhile is made again: Kubernetes creates a Lease by a replacement, too.
        Raises Conflict if someone else wrote it meanwhile, other GatewayError.
        """
        body = self._body(lease)
        try:
            if lease.version is None:
                answer = await self._client.create(LEASES, self._namespace, body, timeout=TIMEOUT_SECONDS)
            else:
                answer = await self._client.replace(
                    LEASES, self._namespace, self._name, body, timeout=TIMEOUT_SECONDS
                )
        except AlreadyExists as error:
            raise Conflict(str(error)) from None
        return _read(answer)

    def _body(self, lease: Lease) -> Object:
        meta = {
            "name": self._name,
            "namespace": self._namespace,
            "resourceVersion": lease.version,
            "uid": lease.uid,
        }
        spec = {
            "holderIdentity": lease.holder,
            "leaseDurationSeconds": lease.duration_seconds,
            "acquireTime": lease.acquired_at,
            "renewTime": lease.renewed_at,
            "leaseTransitions": lease.transitions,
        }
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {key: value for key, value in meta.items() if value is not None},
            "spec": {key: value for key, value in spec.items() if value is not None},
        }


def _read(body: dict[str, Any]) -> Lease:
    spec = body.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        duration_seconds=spec.get("leaseDurationSeconds") or 0,
        acquired_at=spec.get("acquireTime"),
        renewed_at=spec.get("renewTime"),
        transitions=spec.get("leaseTransitions") or 0,
        version=body["metadata"]["resourceVersion"],
        uid=body["metadata"]["uid"],
    )
