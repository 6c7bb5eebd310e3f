"""Live progress of the current stage, from the newest line of each shard."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import ValidationError

from secateur_api.stage import Progress
from secateur_api.status import JobProgress
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
