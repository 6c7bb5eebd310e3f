"""Labels and annotations that are read back, and the kinds of the API with where they are served."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from secateur_api.base import GROUP, VERSION

JOB_LABEL = f"{GROUP}/job"
"""Name of the PruningJob."""
OWNER_UID_LABEL = f"{GROUP}/job-uid"
"""Uid of the PruningJob."""
RUN_LABEL = f"{GROUP}/run"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""On Jobs: Kueue holds them in that LocalQueue."""
INPUT_HASH = f"{GROUP}/input-hash"
"""Annotation: tells whether a Job of the same name is the same Job."""
MANAGED = "app.kubernetes.io/managed-by=secateur"
"""Selects everything that Secateur makes."""
POD_OWNER = "batch.kubernetes.io/controller-uid"
"""Uid of a pod's Job (set by Kubernetes)."""
POD_JOB = "batch.kubernetes.io/job-name"
POD_INDEX = "batch.kubernetes.io/job-completion-index"
POD_FAILURES = "batch.kubernetes.io/job-index-failure-count"
"""How many pods of this index failed before this one."""
STAGE_CONTAINER = "stage"


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
