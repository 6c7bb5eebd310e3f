"""What a job would do from here: the stages whose results are there, and those that are still to be done."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

from pydantic import Field

from secateur_api import PruningJob, PruningJobSpec, PruningJobStatus, Stage, StageSummary
from secateur_api.base import Contract
from secateur_api.status import CurrentStage
from secateur_operator.domain import judge, record, rounds, start
from secateur_operator.domain.observed import Defaults, JobState, ObservedJob
from secateur_operator.domain.plan import StageJob, resolved_spec, stage_job
from secateur_operator.domain.times import stamp

Recall = Callable[[StageJob], list[StageSummary] | str]
"""Returns what each process of a stage left in the store, or why it is to be done."""


class ForeseenStage(Contract):
    """One stage of a job that has not begun."""

    name: Stage
    round: int | None = None
    units: list[str] = Field(default=[])
    """Of a result that is there."""
    reused: bool
    """The result is in the store and holds."""
    measured_at: str | None = None
    """When it was measured, RFC 3339."""
    seconds: float | None = None
    """Wall time of the work that made it."""
    note: str = ""
    """Of a stage that is to be done: why, or what it depends on."""


class Foreseen(Contract):
    """All stages of a job, in order."""

    job: str
    stages: list[ForeseenStage]


def foresee(job: PruningJob, defaults: Defaults, recall: Recall, now: datetime) -> Foreseen:
    """Go through the stages as a run does, as far as results are there; those behind are named."""
    status = start.begun(job, 1, now, defaults)
    spec = resolved_spec(status)
    found: list[ForeseenStage] = []
    while (following := rounds.following(spec, status)) is not None:
        if following.stage is Stage.REPORT:
            status = status.model_copy(update={"constraints": judge.judge(spec, status)})
        current = CurrentStage(
            name=following.stage, round=following.round, job="foreseen", started_at=stamp(now)
        )
        status = status.model_copy(update={"stage": current})
        summaries = recall(stage_job(job, status, current, 0.0))
        number = following.round.number if following.round is not None else None
        if isinstance(summaries, str):
            found.append(ForeseenStage(name=following.stage, round=number, reused=False, note=summaries))
            found += _behind(spec, status, following.stage)
            break
        status = record.finished(spec, status, _ended(current), summaries, now)
        done = status.stages[-1]
        found.append(
            ForeseenStage(
                name=done.name,
                round=done.round,
                units=done.units,
                reused=True,
                measured_at=done.measured_at,
                seconds=done.seconds,
            )
        )
    return Foreseen(job=job.metadata.name, stages=found)


def _ended(current: CurrentStage) -> ObservedJob:
    return ObservedJob(name=current.job, uid="", run=1, state=JobState.SUCCEEDED, shards=())


def _behind(spec: PruningJobSpec, status: PruningJobStatus, first: Stage) -> list[ForeseenStage]:
    """Return the stages behind the first that is to be done; what they find decides how many rounds."""
    order = list(Stage)
    found = []
    for stage in order[order.index(first) + 1 :]:
        note = _note(stage, spec, status)
        if note is not None:
            found.append(ForeseenStage(name=stage, reused=False, note=note))
    if first is Stage.ROUND:
        found.insert(0, ForeseenStage(name=Stage.ROUND, reused=False, note=_rounds_left(spec, status, 1)))
    return found


def _note(stage: Stage, spec: PruningJobSpec, status: PruningJobStatus) -> str | None:
    """Say what a stage behind depends on; None where it is not wanted."""
    if stage is Stage.SENSITIVITY:
        known = status.preflight
        is_wanted = spec.pruning.target is not None if known is None else known.needs_sensitivity
        return "" if is_wanted else None
    if stage is Stage.ROUND:
        return _rounds_left(spec, status, 0)
    if stage is Stage.BENCHMARK:
        return "" if spec.benchmark else None
    return ""


def _rounds_left(spec: PruningJobSpec, status: PruningJobStatus, begun: int) -> str:
    """Say how many rounds there may be behind those that are done and ``begun``."""
    step = rounds.first_step(spec) if status.step is None else status.step
    base = rounds.last_accepted(status.rounds)
    reached = base.outcome.share if base is not None else 0.0
    least = math.ceil((1 - reached) / step - 1e-6)
    most = spec.pruning.schedule.rounds - len(status.rounds)
    return f"{max(least - begun, 0)} to {max(most - begun, 0)} {'more ' * bool(begun)}rounds"
