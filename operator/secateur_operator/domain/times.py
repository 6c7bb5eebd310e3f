"""Points in time as the status writes them (RFC 3339, UTC, milliseconds), and the deadline.

``budget.wallClock`` runs from start to end; time spent suspended does not count.
"""

from __future__ import annotations

from datetime import UTC, datetime

from secateur_api import PruningJobSpec, PruningJobStatus
from secateur_api.quantity import parse_duration


def stamp(moment: datetime, timespec: str = "milliseconds") -> str:
    """Write a point in time: ``2026-01-31T12:00:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def moment_of(text: str) -> datetime:
    """Read what :func:`stamp` wrote."""
    return datetime.fromisoformat(text)


def seconds_between(start: str, end: datetime) -> float:
    """Return the seconds from a written point in time to another."""
    return (end - moment_of(start)).total_seconds()


def seconds_left(spec: PruningJobSpec, status: PruningJobStatus, now: datetime) -> float:
    """Return the seconds until the budget is spent; negative when it is."""
    budget = parse_duration(spec.budget.wall_clock)
    if status.started_at is None:
        return budget
    return budget - (seconds_between(status.started_at, now) - status.paused_seconds)
