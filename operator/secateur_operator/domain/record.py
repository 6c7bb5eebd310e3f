"""How a stage's end goes into the status: its numbers, reuse of earlier runs, or failure and the next try."""

from __future__ import annotations

import hashlib
import signal
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from secateur_api import ExitCode, PruningJobSpec, PruningJobStatus, Stage, StageSummary
from secateur_api.conditions import Reason
from secateur_api.quantity import show_moment
from secateur_api.results import RoundOutcome, StageOutcome
from secateur_api.stage import FileRef
from secateur_api.status import ArtifactStatus, CurrentStage, FileKind, FinishedStage, RoundStatus
from secateur_operator.domain import rounds
from secateur_operator.domain.observed import JobState, ObservedJob, ObservedShard
from secateur_operator.domain.plan import store_of
from secateur_operator.domain.times import stamp

FIRST_SECONDS = 5.0
"""Wait before the second attempt; doubled for each further one."""
LONGEST_SECONDS = 300.0
_JITTER = 0.2


@dataclass(frozen=True)
class Failure:
    """Why a Job failed."""

    reason: str
    message: str
    retryable: bool
    log: str | None = None
    damaged: str | None = None
    """The unit of a finished stage that is not whole any more."""


def delay(identity: str, attempt: int) -> float:
    """Return the seconds to wait after a failed attempt: exponential, jitter drawn from the Job's name."""
    spread = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF * 2 - 1
    return min(FIRST_SECONDS * 2.0 ** (attempt - 1), LONGEST_SECONDS) * (1 + _JITTER * spread)


def failure_of(job: ObservedJob) -> Failure:
    """Explain a failed Job by its worst shard: what cannot be helped by another attempt comes first."""
    failed = [shard for shard in job.shards if shard.state is JobState.FAILED]
    failed.sort(key=lambda shard: shard.exit_code is None)  # one that was ended for another's sake
    failures = sorted((_explain(shard) for shard in failed), key=_weight)
    if job.trouble is not None and all(failure.retryable for failure in failures):
        log = next((failure.log for failure in failures if failure.log), None)
        return Failure(job.trouble.reason.value, job.trouble.message, True, log)
    if not failures:
        return Failure(Reason.KILLED.value, "the Job failed and left no trace of a process", True)
    return failures[0]


def _weight(failure: Failure) -> tuple[bool, bool]:
    """Sort causes before what follows from them: a worker that misses a lost one."""
    return failure.retryable, failure.reason == Reason.WORKER_LOST


def summary_of(shard: ObservedShard) -> StageSummary | None:
    """Read a shard's termination message; None if there is none that can be read."""
    if not shard.message:
        return None
    try:
        return StageSummary.model_validate_json(shard.message)
    except ValidationError:
        return None


def _explain(shard: ObservedShard) -> Failure:
    summary = summary_of(shard)
    code = shard.exit_code
    known = code in set(ExitCode) and code != ExitCode.DONE
    if known and summary is not None and not summary.ok:
        retryable = code == ExitCode.RETRYABLE
        return Failure(summary.reason, summary.message, retryable, shard.log, summary.damaged)
    said = f"; its last line: {shard.last_line}" if shard.last_line else ""
    message = f"the process {_ended(code)} and left no message{said}"
    if code == ExitCode.INTERNAL:
        return Failure(Reason.INTERNAL_ERROR.value, message, False, shard.log)
    return Failure(Reason.KILLED.value, message, True, shard.log)


def _ended(code: int | None) -> str:
    if code is None:
        return "disappeared"
    if code > 128:
        try:
            return f"was killed by {signal.Signals(code - 128).name}"
        except ValueError:
            pass
    return f"ended with exit code {code}"


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
    made = outcome.quantize or outcome.convert
    if made is not None:
        update["converted"] = made.artifacts
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
    made = outcome.quantize or outcome.convert
    if made is not None and made.manifest is not None:
        found.append(file("manifest", made.manifest))
    else:
        found += [one for one in status.artifacts if one.kind == "manifest"]
    if outcome.report is not None:
        found += [file("report", outcome.report.html), file("card", outcome.report.card)]
    return found


_WITHOUT_NUMBERS = (Stage.REPORT,)


def reuse_of_stage(done: FinishedStage) -> str:
    """Return ``measured on <date>, reused`` for a stage whose result was there; empty for any other."""
    if not done.reused:
        return ""
    return f"measured on {show_moment(done.measured_at)}, reused" if done.measured_at else "reused"


def reuse_of_job(status: PruningJobStatus) -> str:
    """Say which stages' numbers are of an earlier run, and from when; empty where none is."""
    reused = [done for done in status.stages if done.reused and done.name not in _WITHOUT_NUMBERS]
    if not reused:
        return ""
    names = ", ".join(dict.fromkeys(done.name.value for done in reused))
    moments = sorted(show_moment(done.measured_at) for done in reused if done.measured_at)
    when = f"measured on {' to '.join(dict.fromkeys((moments[0], moments[-1])))}, " if moments else ""
    return f"{names}: {when}reused"
