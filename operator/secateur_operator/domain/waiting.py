"""A Job that waits: for how long it may wait for a GPU, and when to look at it again."""

from __future__ import annotations

from datetime import datetime

from secateur_api import PruningJobSpec, Stage
from secateur_api.conditions import Reason
from secateur_api.quantity import parse_duration
from secateur_api.spec import StageResources
from secateur_api.status import CurrentStage
from secateur_operator.domain.observed import JobState, ObservedJob
from secateur_operator.domain.times import seconds_between

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
