"""The deadline: ``budget.wallClock`` from start to end, time spent suspended not counted."""

from __future__ import annotations

from datetime import datetime

from secateur_api import PruningJobSpec, PruningJobStatus
from secateur_api.quantity import parse_duration
from secateur_operator.domain.times import seconds_between


def seconds_left(spec: PruningJobSpec, status: PruningJobStatus, now: datetime) -> float:
    """Return the seconds until the budget is spent; negative when it is."""
    budget = parse_duration(spec.budget.wall_clock)
    if status.started_at is None:
        return budget
    return budget - (seconds_between(status.started_at, now) - status.paused_seconds)
