"""What the status says of itself: conditions, derived from the phase and the verdict, and printed columns.

Also where there is no job to decide about: a resource that is no valid PruningJob, or whose Job the cluster
refuses or makes wait.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from secateur_api import InvalidResource, PruningJob, PruningJobSpec, PruningJobStatus, Stage
from secateur_api.conditions import ConditionType, Phase, Reason
from secateur_api.quantity import parse_duration
from secateur_api.spec import StageResources
from secateur_api.status import Condition, CurrentStage, Printed, RoundStatus
from secateur_operator.domain import rounds
from secateur_operator.domain.observed import JobState, ObservedJob
from secateur_operator.domain.times import seconds_between, stamp

Truth = Literal["True", "False", "Unknown"]


def with_phase(
    status: PruningJobStatus,
    phase: Phase,
    reason: str,
    message: str,
    *,
    generation: int,
    now: datetime,
    constraints_met: bool | None = None,
    constraints_reason: str = Reason.NOT_MEASURED.value,
) -> PruningJobStatus:
    """Return the status with the phase, its message, and every condition brought in line with it."""
    verdict: Truth = "Unknown" if constraints_met is None else _truth(constraints_met)
    wanted: list[tuple[ConditionType, Truth, str]] = [
        (ConditionType.READY, _truth(phase is Phase.SUCCEEDED), reason),
        (ConditionType.RECONCILING, _truth(phase in (Phase.PENDING, Phase.RUNNING)), reason),
        (ConditionType.STALLED, _truth(phase is Phase.FAILED), reason),
        (ConditionType.SUSPENDED, _truth(phase is Phase.SUSPENDED), reason),
        (ConditionType.CONSTRAINTS_MET, verdict, constraints_reason),
    ]
    before = {condition.type: condition for condition in status.conditions}
    conditions = []
    for kind, truth, why in wanted:
        old = before.get(kind)
        since = old.last_transition_time if old is not None and old.status == truth else stamp(now)
        conditions.append(
            Condition(
                type=kind,
                status=truth,
                reason=why,
                message=message,
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    return status.model_copy(
        update={
            "phase": phase,
            "message": message,
            "observed_generation": generation,
            "conditions": conditions,
        }
    )


def with_generation(status: PruningJobStatus, generation: int) -> PruningJobStatus:
    """Return the status as one that a change of the spec left as it was.

    The conditions say so too: ``kubectl wait`` waits for as long as one is older than the spec.
    """
    seen = [one.model_copy(update={"observed_generation": generation}) for one in status.conditions]
    return status.model_copy(update={"observed_generation": generation, "conditions": seen})


def _truth(value: bool) -> Truth:
    return "True" if value else "False"


def since(status: PruningJobStatus, kind: ConditionType) -> str | None:
    """Return since when a condition has been as it is."""
    return next((c.last_transition_time for c in status.conditions if c.type is kind), None)


def reason(status: PruningJobStatus, kind: ConditionType) -> str | None:
    """Return why a condition is as it is."""
    return next((c.reason for c in status.conditions if c.type is kind), None)


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


HARMLESS = (Reason.QUEUE_WAITING, Reason.POD_STARTING)
"""Waits that are part of the plan."""
ROOM_SECONDS = 60.0
"""How often a job that waits for others to end is looked at; an end wakes the next one at once."""
LOOK_SECONDS = 10.0
"""How often a Job that does not run yet, or is in trouble, is looked at."""


def resources_of(spec: PruningJobSpec, stage: Stage) -> StageResources:
    """Return what the pods of a stage ask for: the first entry that fits."""
    fitting = (entry for entry in spec.resources if entry.stages is None or stage in entry.stages)
    return next(fitting, StageResources())


def gives_up_gpu(spec: PruningJobSpec, current: CurrentStage, child: ObservedJob, now: datetime) -> bool:
    """Whether a stage has waited for a GPU for as long as its user wants."""
    wanted = resources_of(spec, current.name)
    if wanted.gpu_wait is None or current.on_cpu or current.recall or child.created_at is None:
        return False
    if child.trouble is None or child.trouble.reason is not Reason.UNSCHEDULABLE:
        return False
    return seconds_between(child.created_at, now) >= parse_duration(wanted.gpu_wait)


def look_again(spec: PruningJobSpec, current: CurrentStage, child: ObservedJob) -> float:
    """Return the seconds after which a Job is worth another look even if nothing is heard of it."""
    if child.state is JobState.PENDING or child.trouble is not None:
        wait = resources_of(spec, current.name).gpu_wait
        return min(LOOK_SECONDS, parse_duration(wait)) if wait else LOOK_SECONDS
    return float("inf")


def with_printed(status: PruningJobStatus) -> PruningJobStatus:
    """Return the status with its printed summary in line with the rest."""
    chosen = rounds.candidate(status.rounds)
    numbers = chosen.outcome.numbers if chosen else status.preflight.baseline if status.preflight else None
    return status.model_copy(
        update={
            "printed": Printed(
                progress=f"{status.percent:.0f}%",
                round=_round(status),
                metric=f"{numbers.metric:.4f}" if numbers else None,
                drop=_drop(status, chosen),
                macs_cut=f"{100 * chosen.outcome.cut_macs:.1f}%" if chosen else None,
                speedup=_speedup(status),
            )
        }
    )


def _round(status: PruningJobStatus) -> int | None:
    if status.stage is not None and status.stage.round is not None:
        return status.stage.round.number
    return len(status.rounds) or None


def _drop(status: PruningJobStatus, chosen: RoundStatus | None) -> str | None:
    if chosen is None:
        return None
    return f"{100 * max((one.drop for one in status.benchmarks), default=chosen.outcome.drop):.2f}%"


def _speedup(status: PruningJobStatus) -> str | None:
    slowest = min((one.speedup for one in status.benchmarks), default=None)
    return None if slowest is None else f"{slowest:.2f}x"
