"""Labels and annotations on Jobs and pods that are read back."""

from __future__ import annotations

from secateur_api.base import GROUP

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
