"""The Gateway protocol: everything the reconciler may do to the world, and how it may fail.

What the data plane's ``store`` command answers, read back from its output or its pod's log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from secateur_api import PruningJobStatus
from secateur_api.storekeeping import LINE_PREFIX, Answer
from secateur_operator.domain.decision import Event
from secateur_operator.domain.observed import Defaults, ObservedJob
from secateur_operator.domain.plan import StageJob


class Key(NamedTuple):
    """Names one PruningJob."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Resource:
    """A PruningJob as it was read."""

    document: dict[str, Any]
    version: str
    """Its resourceVersion."""


class GatewayError(Exception):
    """A call that did not do what was asked."""


class NotFound(GatewayError):
    """It is not there (any more)."""


class Conflict(GatewayError):
    """It has changed since it was read; read again."""


class AlreadyExists(GatewayError):
    """The name is taken by something else."""


class Transient(GatewayError):
    """It may work later: a time-out, a refusal for load, a full disk."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        """``retry_after``: seconds that the other side asks to wait, where it does."""
        super().__init__(message)
        self.retry_after = retry_after


class Refused(GatewayError):
    """It is refused for what it says: trying the same again cannot help. The message says why."""

    def __init__(self, message: str, remedy: str = "") -> None:
        """``remedy``: what would help, where it is not the object that has to change."""
        super().__init__(message)
        self.remedy = remedy


class Elsewhere(GatewayError):
    """Another operator serves that namespace, so this one leaves it alone; the message says which."""


class NotLeader(GatewayError):
    """This process does not lead any more, so it writes nothing."""


class Gateway(Protocol):
    """Reads are fresh or stale; writes carry preconditions; every call may raise GatewayError."""

    @property
    def defaults(self) -> Defaults:
        """What a spec that is silent gets here."""
        ...

    def full(self, key: Key) -> str:
        """Say why a PruningJob that has not begun must wait; empty: it has a place, and keeps it."""
        ...

    async def get(self, key: Key) -> Resource:
        """Read a PruningJob; raises NotFound, and Elsewhere where another operator acts."""
        ...

    async def keys(self) -> list[Key]:
        """Name every PruningJob."""
        ...

    async def apply_status(self, key: Key, status: PruningJobStatus, version: str) -> None:
        """Write the status if the resource still has that version; raises Conflict, NotFound."""
        ...

    async def list_jobs(self, key: Key, uid: str, current: str | None) -> list[ObservedJob]:
        """List Jobs of the PruningJob with that uid: at least ``current`` and the active ones."""
        ...

    async def create_job(self, job: StageJob) -> None:
        """Create a Job; success if the same one (owner and input) is there, else raises AlreadyExists.

        Raises Refused if the cluster does not take it as it is.
        """
        ...

    async def delete_job(self, key: Key, name: str, uid: str) -> None:
        """End and delete a Job if it still has that uid; raises NotFound, Conflict."""
        ...

    async def event(self, key: Key, uid: str, event: Event) -> None:
        """Publish an event."""
        ...

    def changes(self) -> AsyncIterator[Key]:
        """Name PruningJobs that may have changed, or whose Jobs may have; a hint, never the truth."""
        ...


class StoreError(Exception):
    """The store cannot be looked at; the message says why in one sentence."""


def answers(lines: Iterable[str], last_words: str) -> list[Answer]:
    """Return the answers among lines, the closing one apart; ``last_words`` is said where none says why.

    Raises StoreError if the command did not do all that it was asked.
    """
    found = [
        Answer.model_validate_json(line.removeprefix(LINE_PREFIX))
        for line in lines
        if line.startswith(LINE_PREFIX)
    ]
    if not found or not found[-1].done:
        raise StoreError((found[-1].failed if found else None) or last_words)
    return found[:-1]
