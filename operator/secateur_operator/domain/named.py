"""What PruningJobs name in a store: by this the data plane knows what must stay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from secateur_api import PruningJob, PruningJobStatus
from secateur_api.spec import Store
from secateur_operator.domain.plan import resolved_spec
from secateur_operator.domain.times import moment_of


@dataclass(frozen=True)
class Shelf:
    """A store as the pods of a namespace reach it."""

    namespace: str
    store: Store
    image: str | None = None
    """The image that a job there runs its stages with."""


@dataclass(frozen=True)
class Where:
    """Which stores to keep."""

    namespaces: tuple[str, ...]
    """Empty: all."""
    only: Shelf | None
    """None: every store that a PruningJob there uses."""
    image: str | None
    pull_secrets: tuple[str, ...]


def shelf_of(job: PruningJob) -> Shelf | None:
    """Return the store that a job has used; None before its first run."""
    if job.status.resolved_spec is None:
        return None
    resolved = resolved_spec(job.status)
    if resolved.store is None:
        return None
    # the status hides credentials, the spec has them
    store = job.spec.store if job.spec.store is not None else resolved.store
    return Shelf(job.metadata.namespace, store, resolved.image)


def is_same(one: Shelf, other: Shelf) -> bool:
    """Whether two may hold the same files; a URI below another one counts."""
    a, b = one.store, other.store
    if a.uri is None or b.uri is None:
        return (one.namespace, a.claim, a.uri) == (other.namespace, b.claim, b.uri)
    here, there = (f"{store.public_uri.rstrip('/')}/" for store in (a, b))
    return here.startswith(there) or there.startswith(here)


def units_of(status: PruningJobStatus) -> set[str]:
    """Return the units that a status names; those of its artifacts are among them."""
    staged = {unit for done in status.stages for unit in done.units}
    return staged | {done.unit for done in status.rounds}


def safe_before(statuses: Iterable[PruningJobStatus], now: float, older_than: float) -> float:
    """Return the moment (seconds since 1970) up to which files may go.

    A running stage's unit is named only once it is done; but it writes nothing from before it began.
    """
    begun = [
        moment_of(status.stage.started_at).timestamp() for status in statuses if status.stage is not None
    ]
    return min([now - older_than, *begun])
