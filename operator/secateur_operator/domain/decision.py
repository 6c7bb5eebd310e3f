"""What a decision consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from secateur_api import PruningJobStatus, Stage
from secateur_operator.domain.plan import StageJob


@dataclass(frozen=True)
class Create:
    """Create a Job; that it exists already is success if it is the same one."""

    job: StageJob


@dataclass(frozen=True)
class Delete:
    """Delete a Job, if it is still the one that was seen."""

    name: str
    uid: str


Action = Create | Delete


@dataclass(frozen=True)
class Event:
    """One line for the people who watch."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    stage: Stage | None = None
    """The stage that it speaks of, which may be over."""


@dataclass(frozen=True)
class Decision:
    """The new status, written first; then the actions, in order; then the events."""

    status: PruningJobStatus
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None
    """Seconds after which to look again, whatever happens."""
