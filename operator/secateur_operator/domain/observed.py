"""What a pass of the reconciler saw: one resource and its Jobs, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from secateur_api import PruningJob
from secateur_api.conditions import Reason
from secateur_api.spec import Store


class JobState(str, Enum):
    """State of a Job, or of one of its shards."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def is_active(self) -> bool:
        """Whether it may still change."""
        return self in (JobState.PENDING, JobState.RUNNING)


@dataclass(frozen=True)
class ObservedShard:
    """One process (locally) or pod of a Job."""

    index: int
    state: JobState
    exit_code: int | None = None
    """As a shell shows it: 128 + N after signal N; None while it runs or if it is unknown."""
    message: str | None = None
    """The termination message: a StageSummary as JSON."""
    progress: str | None = None
    """The newest progress line, without its prefix."""
    log: str | None = None
    """Where a person finds the log."""
    last_line: str | None = None
    """Last line of the log, for a failure that left no message."""


@dataclass(frozen=True)
class Trouble:
    """Why a Job does not get on, or did not: something of the cluster that a person can act on."""

    reason: Reason
    message: str
    """What, where, and the remedy."""


@dataclass(frozen=True)
class ObservedJob:
    """One Job of a PruningJob."""

    name: str
    uid: str
    run: int
    state: JobState
    shards: tuple[ObservedShard, ...]
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    tries: int = 1
    """How often it tried by itself, this time included (the cluster's Jobs retry their pods)."""
    trouble: Trouble | None = None
    """The trouble that it is in, or that it failed of."""


@dataclass(frozen=True)
class Defaults:
    """What the place gives a job where its spec is silent."""

    store: Store | None
    image: str | None = None
    forced: bool = False
    """The place's store counts, whatever the spec says (a run on one machine)."""


@dataclass(frozen=True)
class Observed:
    """Everything that a decision may depend on, except the time."""

    job: PruningJob
    children: tuple[ObservedJob, ...]
    """At least the current stage's Job and every Job that is active."""
    defaults: Defaults
    full: str = ""
    """Why a PruningJob that has not begun must wait: as many as may run at a time do; empty: it may begin."""

    def child(self, name: str) -> ObservedJob | None:
        """Return the Job of that name, if it was seen."""
        return next((child for child in self.children if child.name == name), None)
