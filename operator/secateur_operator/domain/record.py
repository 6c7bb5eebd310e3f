"""A finished stage's numbers into the status."""

from __future__ import annotations

from datetime import datetime

from secateur_api import PruningJobSpec, PruningJobStatus, StageSummary
from secateur_api.conditions import Reason
from secateur_api.results import RoundOutcome, StageOutcome
from secateur_api.stage import FileRef
from secateur_api.status import ArtifactStatus, CurrentStage, FileKind, FinishedStage, RoundStatus
from secateur_operator.domain import rounds
from secateur_operator.domain.observed import ObservedJob
from secateur_operator.domain.plan import store_of
from secateur_operator.domain.retries import Failure, summary_of
from secateur_operator.domain.times import stamp


def summaries_of(current: CurrentStage, job: ObservedJob) -> list[StageSummary] | Failure:
    """Return each shard's summary, or why a Job that ended well cannot be recorded.

    A message that was lost is worth another attempt: the result is in the store and is found there.
    """
    found: list[StageSummary] = []
    for shard in job.shards:
        summary = summary_of(shard)
        if summary is None or summary.unit is None or not summary.ok:
            message = "the process ended well, but its termination message is lost"
            return Failure(Reason.KILLED.value, message, True, shard.log)
        if getattr(summary.outcome, current.name.value) is None:
            message = f"the stage left no {current.name.value} outcome; this is a defect in Secateur"
            return Failure(Reason.INTERNAL_ERROR.value, message, False, shard.log)
        found.append(summary)
    return found


def finished(
    spec: PruningJobSpec,
    status: PruningJobStatus,
    job: ObservedJob,
    summaries: list[StageSummary],
    now: datetime,
) -> PruningJobStatus:
    """Return the status with the current stage recorded as finished."""
    current = status.stage
    if current is None:
        raise ValueError("no stage is under way")
    done = FinishedStage(
        name=current.name,
        round=current.round.number if current.round else None,
        attempt=current.attempt,
        job=current.job,
        # the processes of a round have one unit together
        units=list(dict.fromkeys(summary.unit for summary in summaries if summary.unit is not None)),
        seconds=max(summary.seconds for summary in summaries),
        reused=all(summary.reused for summary in summaries),
        note="; ".join(dict.fromkeys(s.message for s in summaries if s.message and not s.reused)),
        measured_at=max((s.measured_at for s in summaries if s.measured_at is not None), default=None),
        started_at=job.started_at or current.started_at,
        finished_at=job.finished_at or stamp(now),
    )
    update: dict[str, object] = {"stages": [*status.stages, done], "stage": None, "progress": None}
    outcome = summaries[0].outcome
    if outcome.preflight is not None:
        update["preflight"] = outcome.preflight
        update["step"] = rounds.first_step(spec)
    if outcome.round is not None:
        update.update(_round(spec, status, outcome.round, done))
    if outcome.convert is not None:
        update["converted"] = outcome.convert.artifacts
    if outcome.benchmark is not None:
        update["benchmarks"] = outcome.benchmark.benchmarks
    recorded = status.model_copy(update=update)
    artifacts = _artifacts(recorded, outcome, store_of(spec).public_uri)
    return recorded.model_copy(update={"artifacts": artifacts})


def _round(
    spec: PruningJobSpec, status: PruningJobStatus, outcome: RoundOutcome, done: FinishedStage
) -> dict[str, object]:
    allowed = rounds.floor(spec)
    accepted = rounds.is_accepted(outcome, allowed)
    entry = RoundStatus(
        # a result found in the store may have been another round's number: the schedule is no part of a unit
        outcome=outcome.model_copy(update={"number": len(status.rounds) + 1}),
        accepted=accepted,
        floor=allowed,
        seconds=done.seconds,
        job=done.job,
        unit=done.units[0],
    )
    step = rounds.first_step(spec) if status.step is None else status.step
    done_rounds = [*status.rounds, entry]
    chosen = rounds.candidate(done_rounds)
    return {
        "rounds": done_rounds,
        "step": rounds.next_step(step, status.rounds, outcome, accepted),
        "model": chosen.unit if chosen else None,
    }


def _artifacts(status: PruningJobStatus, outcome: StageOutcome, store: str) -> list[ArtifactStatus]:
    """List what the user can take away so far; a job that fails later keeps it."""

    def uri(path: str) -> str:
        return f"{store.rstrip('/')}/{path}"

    def file(kind: FileKind, ref: FileRef) -> ArtifactStatus:
        return ArtifactStatus(kind=kind, uri=uri(ref.path), sha256=ref.sha256, bytes=ref.bytes)

    found: list[ArtifactStatus] = []
    chosen = rounds.candidate(status.rounds)
    if chosen is not None and chosen.outcome.checkpoint is not None:
        found.append(file("checkpoint", chosen.outcome.checkpoint))
    found += [
        ArtifactStatus(
            kind="model",
            uri=uri(one.path),
            sha256=one.sha256,
            bytes=one.bytes,
            format=one.format,
            backend=one.backend,
        )
        for one in status.converted
        if one.role == "pruned"
    ]
    found += [one for one in status.artifacts if one.kind == "manifest"]
    if outcome.convert is not None and outcome.convert.manifest is not None:
        found.append(file("manifest", outcome.convert.manifest))
    if outcome.report is not None:
        found += [file("report", outcome.report.html), file("card", outcome.report.card)]
    return found
