"""The kinds of the API that Secateur reads and writes, and where the API server serves them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from secateur_api.base import GROUP, VERSION


@dataclass(frozen=True)
class Kind:
    """A kind of namespaced resource."""

    api: str
    """``/api/v1`` or ``/apis/GROUP/VERSION``."""
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the path of one object, of a namespace's collection, or (no namespace) of the cluster's."""
        parts = [self.api]
        if namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part is not None]
        return "/".join(parts)


PRUNING_JOBS = Kind(f"/apis/{GROUP}/{VERSION}", "pruningjobs")
JOBS = Kind("/apis/batch/v1", "jobs")
PODS = Kind("/api/v1", "pods")
EVENTS = Kind("/api/v1", "events")
"""Not events.k8s.io: only here can they be selected by the object that they are about, and be sorted."""
LEASES = Kind("/apis/coordination.k8s.io/v1", "leases")
