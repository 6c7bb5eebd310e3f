"""The retry policy: what a failed Job means, and when it is tried again."""

from __future__ import annotations

import hashlib
import signal
from dataclasses import dataclass

from pydantic import ValidationError

from secateur_api import ExitCode, StageSummary
from secateur_api.conditions import Reason
from secateur_operator.domain.observed import JobState, ObservedJob, ObservedShard

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
