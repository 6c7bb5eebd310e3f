"""The status of a resource that is no valid PruningJob, or whose Job the cluster refuses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from secateur_api import InvalidResource, PruningJob, PruningJobStatus
from secateur_api.conditions import Phase, Reason
from secateur_operator.domain.conditions import with_phase


def refuse(document: dict[str, Any], error: InvalidResource, now: datetime) -> PruningJobStatus | None:
    """Return the status that says what is wrong, or None if it says so already."""
    generation = int(document.get("metadata", {}).get("generation", 1))
    before = document.get("status") or {}
    message = str(error)
    if before.get("message") == message and before.get("observedGeneration") == generation:
        return None
    return with_phase(
        PruningJobStatus(run=int(before.get("run", 1))),
        Phase.FAILED,
        Reason.INVALID_SPEC.value,
        message,
        generation=generation,
        now=now,
    )


def with_refusal(job: PruningJob, said: str, remedy: str, now: datetime) -> PruningJobStatus | None:
    """Return the status that says why the cluster refused the Job; None if it says so already."""
    message = (
        f"the cluster refuses the Job: {said}; {remedy or 'change spec.template or what the message names'}"
    )
    if job.status.message == message:
        return None
    return with_phase(
        job.status,
        job.status.phase,
        Reason.JOB_REFUSED.value,
        message,
        generation=job.status.observed_generation,
        now=now,
    )
