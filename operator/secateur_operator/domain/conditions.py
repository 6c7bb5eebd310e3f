"""Conditions, all derived from the phase and the verdict."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from secateur_api import PruningJobStatus
from secateur_api.conditions import ConditionType, Phase, Reason
from secateur_api.status import Condition
from secateur_operator.domain.times import stamp

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
