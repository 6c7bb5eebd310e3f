"""Labels of Jobs and pods: by them the operator, and people, find what belongs together."""

from __future__ import annotations

import re

from secateur_api.base import GROUP
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.kube.names import JOB_LABEL, MANAGED, OWNER_UID_LABEL, RUN_LABEL
from secateur_operator.gateway.protocol import Refused

PREFIX = f"{GROUP}/"
"""Of every label and annotation that is Secateur's own."""
QUEUE = "kueue.x-k8s.io/queue-name"

_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def pod_labels(job: StageJob) -> dict[str, str]:
    """Return the labels of a Job's pods."""
    managed_by, manager = MANAGED.split("=")
    labels = {
        "app.kubernetes.io/name": manager,
        managed_by: manager,
        "app.kubernetes.io/component": "stage",
        JOB_LABEL: job.owner,
        OWNER_UID_LABEL: job.owner_uid,
        RUN_LABEL: str(job.run),
        f"{PREFIX}stage": job.stage.value,
        f"{PREFIX}attempt": str(job.attempt),
    }
    if job.round is not None:
        labels[f"{PREFIX}round"] = str(job.round)
    if job.recall:
        labels[f"{PREFIX}recall"] = "true"
    return labels


def job_labels(job: StageJob) -> dict[str, str]:
    """Return the labels of a Job: its pods', and the queue that Kueue holds it in.

    A recall is not queued: it needs next to nothing, and a job waits for it. Raises Refused.
    """
    queue = job.spec.queue
    if queue is None or job.recall:
        return pod_labels(job)
    if _VALUE.fullmatch(queue) is None:
        raise Refused(
            f"spec.queue: {queue!r} cannot be the value of the label {QUEUE}; expected the name of a "
            "LocalQueue: at most 63 characters that end with a letter or a digit"
        )
    return {**pod_labels(job), QUEUE: queue}
