"""When a job starts, or starts anew: first seen, spec changed, or asked for by its user."""

from __future__ import annotations

from datetime import datetime

from secateur_api import PruningJob, PruningJobSpec, PruningJobStatus
from secateur_api.base import RUN_ANNOTATION
from secateur_api.conditions import Phase, Reason
from secateur_operator.domain.conditions import with_phase
from secateur_operator.domain.times import stamp


def next_run(job: PruningJob) -> int | None:
    """Return the number of the run to start, or None where the current one goes on.

    ``spec.suspend`` does not count as a change: it holds a run, it does not end it.
    """
    status = job.status
    asked = asked_run(job)
    if status.resolved_spec is None:  # first seen, or it was no valid PruningJob before
        return max(status.run + status.phase.is_final, asked)
    if asked > status.run:
        return asked
    if job.metadata.generation != status.observed_generation and _has_changed(job.spec, status.resolved_spec):
        return status.run + 1
    return None


def asked_run(job: PruningJob) -> int:
    """Return the run that the annotation asks for; 0 if it is absent or no number."""
    annotations = (job.metadata.model_extra or {}).get("annotations") or {}
    text = str(annotations.get(RUN_ANNOTATION, ""))
    return int(text) if text.isdecimal() else 0


def begun(job: PruningJob, run: int, now: datetime) -> PruningJobStatus:
    """Return the status of a run that starts now."""
    fresh = PruningJobStatus(run=run, started_at=stamp(now), resolved_spec=resolve(job.spec))
    generation = job.metadata.generation
    return with_phase(
        fresh, Phase.PENDING, Reason.QUEUED.value, f"run {run} starts", generation=generation, now=now
    )


def without_wait(status: PruningJobStatus) -> PruningJobStatus:
    """Return the status with a retry that waits made due."""
    if status.stage is None or status.stage.not_before is None:
        return status
    return status.model_copy(update={"stage": status.stage.model_copy(update={"not_before": None})})


def resolve(spec: PruningJobSpec) -> dict[str, object]:
    """Return the spec with every default written out, without what only holds or releases a run."""
    return spec.model_copy(update={"suspend": False}).to_wire()


def _has_changed(spec: PruningJobSpec, resolved: dict[str, object]) -> bool:
    # read again first: fields that a newer version added have their defaults, which is no change
    return PruningJobSpec.model_validate(resolved).to_wire() != resolve(spec)
