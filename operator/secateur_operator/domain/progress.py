"""How far a job is: the current stage by its shards' newest lines, the whole by finished stages."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from pydantic import ValidationError

from secateur_api import PruningJobSpec, PruningJobStatus, Stage
from secateur_api.stage import Progress
from secateur_api.status import JobProgress
from secateur_operator.domain import rounds
from secateur_operator.domain.observed import JobState, ObservedJob, ObservedShard
from secateur_operator.domain.times import stamp


def of_job(job: ObservedJob) -> JobProgress | None:
    """Combine the shards: mean percentage, newest step and metric, longest ETA; None before any line."""
    lines = {shard.index: line for shard in job.shards if (line := _read(shard)) is not None}
    if not lines:
        return None
    newest = max(lines.values(), key=lambda line: line.at)
    percents = [
        100.0
        if shard.state is JobState.SUCCEEDED
        else lines[shard.index].percent
        if shard.index in lines
        else 0.0
        for shard in job.shards
    ]
    etas = [line.eta_seconds for line in lines.values() if line.eta_seconds is not None]
    return JobProgress(
        percent=round(sum(percents) / len(percents), 1),
        step=newest.step,
        metric=newest.metric,
        eta_seconds=max(etas, default=None),
        heartbeat=stamp(datetime.fromtimestamp(newest.at, UTC)),
    )


def _read(shard: ObservedShard) -> Progress | None:
    """Read a line that may be cut short or foreign: progress is best effort."""
    try:
        return Progress.model_validate_json(shard.progress) if shard.progress else None
    except ValidationError:
        return None


_EFFORT = {
    Stage.PRETRAIN: 20,
    Stage.PREFLIGHT: 10,
    Stage.SENSITIVITY: 20,
    Stage.ROUND: 40,
    Stage.CONVERT: 5,
    Stage.QUANTIZE: 5,
    Stage.BENCHMARK: 10,
    Stage.REPORT: 2,
}
"""Guessed shares of the whole effort; they shape a progress bar and nothing else. ROUND counts all rounds."""


def percent_of_job(spec: PruningJobSpec, status: PruningJobStatus) -> float:
    """Return 0..100; never less than the status said before."""
    wanted = {stage: float(effort) for stage, effort in _EFFORT.items() if _is_wanted(stage, spec, status)}
    done = {finished.name for finished in status.stages}
    spent = sum(wanted.get(stage, 0.0) for stage in done if stage is not Stage.ROUND)
    per_round = wanted[Stage.ROUND] / _expected_rounds(spec, status)
    spent += wanted[Stage.ROUND] if Stage.CONVERT in done else per_round * len(status.rounds)
    if status.stage is not None and status.progress is not None:
        part = per_round if status.stage.name is Stage.ROUND else wanted.get(status.stage.name, 0.0)
        spent += part * status.progress.percent / 100
    return max(status.percent, round(min(100.0 * spent / sum(wanted.values()), 99.0), 1))


def _is_wanted(stage: Stage, spec: PruningJobSpec, status: PruningJobStatus) -> bool:
    if stage is Stage.SENSITIVITY:
        return status.preflight is None or status.preflight.needs_sensitivity
    return spec.wants(stage)


def _expected_rounds(spec: PruningJobSpec, status: PruningJobStatus) -> int:
    base = rounds.last_accepted(status.rounds)
    step = rounds.first_step(spec) if status.step is None else status.step
    left = math.ceil((1 - (base.outcome.share if base else 0.0)) / step - 1e-6)
    return max(1, min(spec.pruning.schedule.rounds, len(status.rounds) + left))
