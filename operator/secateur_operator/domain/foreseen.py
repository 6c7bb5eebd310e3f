"""What a run of a job would do from here: the stages whose results are there, and those still to be done.

A result is found by a name that follows from the results before it. So behind the first stage that is to be
done nothing is known: not whether its result is there, and not how many rounds there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from secateur_api import PruningJob, PruningJobSpec, PruningJobStatus, Stage, StageSummary
from secateur_api.base import Contract
from secateur_api.status import CurrentStage, FinishedStage
from secateur_operator.domain import judge, record, rounds
from secateur_operator.domain.observed import JobState, ObservedJob
from secateur_operator.domain.plan import StageJob, resolved_spec, stage_job
from secateur_operator.domain.times import stamp

Recall = Callable[[StageJob], Sequence[StageSummary | str]]
"""Returns what each process of a stage left in the store; else what is damaged of it, "" where nothing is."""


class ForeseenStage(Contract):
    """One stage of a job."""

    name: Stage
    round: int | None = None
    """None too for the rounds that nothing is known of."""
    state: Literal["reused", "toDo", "open"]
    """``reused``: its result is in the store and whole. ``open``: an earlier stage's result decides."""
    units: list[str] = Field(default=[])
    """What of it is in the store."""
    measured_at: str | None = None
    """When a reused result was measured, RFC 3339."""
    seconds: float | None = None
    """Wall time of the work that made a reused result."""
    note: str = ""
    """Why it is to be done, or what it depends on."""


class Foreseen(Contract):
    """All stages of a job, in order."""

    job: str
    suspended: bool
    """``spec.suspend`` is true: a run does nothing until it is false."""
    stages: list[ForeseenStage]


def foresee(
    job: PruningJob, status: PruningJobStatus, damaged: Mapping[str, str], recall: Recall, now: datetime
) -> Foreseen:
    """Go through the stages as a run does that goes on from ``status``, as far as results are there.

    ``damaged`` says of units that ``status`` names what is wrong with them.
    """
    spec = resolved_spec(status)
    found = [_finished(done, damaged) for done in status.stages]
    while (following := rounds.following(spec, status)) is not None:
        if following.stage is Stage.REPORT:
            status = status.model_copy(update={"constraints": judge.judge(spec, status)})
        current = CurrentStage(
            name=following.stage, round=following.round, job="foreseen", started_at=stamp(now)
        )
        status = status.model_copy(update={"stage": current})
        recalled = recall(stage_job(job, status, current, 0.0))
        summaries = [one for one in recalled if isinstance(one, StageSummary)]
        if len(summaries) < len(recalled):
            found += [_to_do(current, recalled), *_behind(spec, status, following)]
            break
        status = record.finished(spec, status, _ended(current), summaries, now)
        found.append(_finished(status.stages[-1], {}))
    return Foreseen(job=job.metadata.name, suspended=job.spec.suspend, stages=found)


def _ended(current: CurrentStage) -> ObservedJob:
    return ObservedJob(name=current.job, uid="", run=1, state=JobState.SUCCEEDED, shards=())


def _finished(done: FinishedStage, damaged: Mapping[str, str]) -> ForeseenStage:
    """Return a stage whose result is there; one that the run has behind it may be damaged since."""
    wrong = "; ".join(damaged[unit] for unit in done.units if unit in damaged)
    if wrong:
        note = f"{wrong}; made again if a later stage reads it"
        return ForeseenStage(name=done.name, round=done.round, state="open", note=note)
    return ForeseenStage(
        name=done.name,
        round=done.round,
        state="reused",
        units=done.units,
        measured_at=done.measured_at,
        seconds=done.seconds,
    )


def _to_do(current: CurrentStage, recalled: Sequence[StageSummary | str]) -> ForeseenStage:
    """Return the first stage that is to be done; some of its processes may find theirs."""
    units = [one.unit for one in recalled if isinstance(one, StageSummary) and one.unit is not None]
    notes = [one for one in recalled if isinstance(one, str) and one]
    if units:
        notes.insert(0, f"{len(units)} of its {len(recalled)} parts are in the store")
    number = current.round.number if current.round is not None else None
    return ForeseenStage(
        name=current.name, round=number, state="toDo", units=units, note="; ".join(dict.fromkeys(notes))
    )


def _behind(spec: PruningJobSpec, status: PruningJobStatus, first: rounds.Next) -> list[ForeseenStage]:
    """Return what may come behind the first stage that is to be done."""
    order = list(Stage)
    start = order.index(first.stage) + (first.stage is not Stage.ROUND)
    notes = {stage: _note(spec, status, first, stage) for stage in order[start:]}
    return [
        ForeseenStage(name=stage, state="open", note=note)
        for stage, note in notes.items()
        if note is not None
    ]


def _note(spec: PruningJobSpec, status: PruningJobStatus, first: rounds.Next, stage: Stage) -> str | None:
    """Say what a stage behind depends on; None where it does not come."""
    if stage is Stage.SENSITIVITY:
        if spec.pruning.target is None or (status.preflight and not status.preflight.needs_sensitivity):
            return None
        return "" if status.preflight else "only if preflight finds layers to choose among"
    if stage is Stage.ROUND:
        begun = first.stage is Stage.ROUND
        most = spec.pruning.schedule.rounds - len(status.rounds) - begun
        return f"at most {most} {'more' if begun else 'in all'}" if most > 0 else None
    return "" if spec.wants(stage) else None
