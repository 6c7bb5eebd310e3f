"""When a job starts, or starts anew: first seen, spec changed, or asked for by its user."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from secateur_api import PruningJob, PruningJobSpec, PruningJobStatus
from secateur_api.base import RUN_ANNOTATION
from secateur_api.conditions import Phase, Reason
from secateur_api.spec import MUTABLE, Store
from secateur_operator.domain.conditions import with_phase
from secateur_operator.domain.observed import Defaults
from secateur_operator.domain.plan import hidden
from secateur_operator.domain.times import stamp


def next_run(job: PruningJob, defaults: Defaults) -> int | None:
    """Return the number of the run to start, or None where the current one goes on.

    What may change while a job runs (:data:`secateur_api.spec.MUTABLE`) starts a run only after the last one
    has ended; ``spec.suspend`` never does: it holds a run, it does not end it.
    """
    status = job.status
    asked = asked_run(job)
    if status.resolved_spec is None:  # first seen, or it was no valid PruningJob before
        return max(status.run + status.phase.is_final, asked)
    if asked > status.run:
        return asked
    if job.metadata.generation == status.observed_generation:
        return None
    # read again first: fields that a newer version added have their defaults, which is no change
    before = PruningJobSpec.model_validate(status.resolved_spec).to_wire()
    now = resolve(job.spec, _pinned(before, defaults))
    ignored = () if status.phase.is_final else MUTABLE
    return status.run + 1 if _without(before, ignored) != _without(now, ignored) else None


def refreshed(job: PruningJob, status: PruningJobStatus) -> PruningJobStatus:
    """Return the status with the parts of the spec taken over that may change while a job runs."""
    now = resolve(job.spec, Defaults(store=None))
    taken = {name: now[name] for name in MUTABLE if name in now}
    return status.model_copy(
        update={"resolved_spec": {**_without(status.resolved_spec or {}, MUTABLE), **taken}}
    )


def asked_run(job: PruningJob) -> int:
    """Return the run that the annotation asks for; 0 if it is absent or no number."""
    annotations = job.metadata.annotations or {}
    text = annotations.get(RUN_ANNOTATION, "")
    return int(text) if text.isdecimal() else 0


def begun(job: PruningJob, run: int, now: datetime, defaults: Defaults) -> PruningJobStatus:
    """Return the status of a run that starts now."""
    fresh = PruningJobStatus(run=run, started_at=stamp(now), resolved_spec=resolve(job.spec, defaults))
    generation = job.metadata.generation
    return with_phase(
        fresh, Phase.PENDING, Reason.QUEUED.value, f"run {run} starts", generation=generation, now=now
    )


def mending(job: PruningJob, status: PruningJobStatus, now: datetime, defaults: Defaults) -> PruningJobStatus:
    """Return the status of a run that makes a damaged unit again; the budget goes on."""
    kept = {"started_at": status.started_at, "paused_seconds": status.paused_seconds}
    fresh = begun(job, status.run + 1, now, defaults)
    resolved = {"resolved_spec": status.resolved_spec, "observed_generation": status.observed_generation}
    return fresh.model_copy(update={**kept, **resolved, "mended": status.mended + 1})


def has_begun(status: PruningJobStatus) -> bool:
    """Whether the run has come to its first stage."""
    return status.stage is not None or bool(status.stages)


def moved(status: PruningJobStatus, defaults: Defaults) -> PruningJobStatus:
    """Return the status with the store where it is now: a run on one machine follows its home."""
    if not defaults.forced or defaults.store is None or status.resolved_spec is None:
        return status
    store = defaults.store.to_wire()
    if status.resolved_spec.get("store") == store:
        return status
    return status.model_copy(update={"resolved_spec": {**status.resolved_spec, "store": store}})


def without_wait(status: PruningJobStatus) -> PruningJobStatus:
    """Return the status with a retry that waits made due."""
    if status.stage is None or status.stage.not_before is None:
        return status
    return status.model_copy(update={"stage": status.stage.model_copy(update={"not_before": None})})


def resolve(spec: PruningJobSpec, defaults: Defaults) -> dict[str, object]:
    """Return the spec with every default written out, without what only holds or releases a run, and without
    credentials in URIs."""
    store = defaults.store if defaults.forced else spec.store or defaults.store
    image = spec.image or defaults.image
    resolved = spec.model_copy(update={"suspend": False, "store": store, "image": image}).to_wire()
    shown: dict[str, object] = hidden(resolved)
    return shown


def _pinned(resolved: dict[str, Any], defaults: Defaults) -> Defaults:
    """Return the defaults that a run began with: another default store or image is no change of its spec."""
    store = Store.model_validate(resolved["store"]) if "store" in resolved else defaults.store
    return Defaults(store, resolved.get("image", defaults.image), defaults.forced)


def _without(spec: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name not in names}
