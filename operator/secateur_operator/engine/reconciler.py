"""One pass over one PruningJob: read, decide, write the status, act, tell."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from secateur_api import InvalidResource, PruningJob, PruningJobStatus, parse_job
from secateur_api.conditions import Reason
from secateur_operator.domain.conditions import refuse, with_refusal
from secateur_operator.domain.decide import decide
from secateur_operator.domain.decision import Action, Create, Delete, Event
from secateur_operator.domain.observed import Observed, ObservedJob
from secateur_operator.gateway.protocol import Gateway, Key, NotFound, Refused, Resource

FIELD = "reference"
"""The attribute of a log record that holds it."""


def reference(key: Key, **about: str | int | None) -> dict[str, dict[str, str | int]]:
    """Return ``extra`` for a log call: namespace, name, and what of ``about`` is known (uid, run, stage)."""
    known = {name: value for name, value in about.items() if value is not None}
    return {FIELD: {"namespace": key.namespace, "name": key.name, **known}}


log = logging.getLogger(__name__)

REFUSED_SECONDS = 20.0
"""What was refused is tried again so often: nobody hears when a right or a quota is back."""


@dataclass(frozen=True)
class Seen:
    """What a pass ended with, for those who watch."""

    job: PruningJob
    """With the status as it was written."""
    events: tuple[Event, ...]
    idle: bool
    """Nothing was left to do and no Job of it was running."""
    before: PruningJobStatus = field(default_factory=PruningJobStatus)
    """The status that the pass began with."""
    children: tuple[ObservedJob, ...] = ()
    """The Jobs that it saw."""


Watcher = Callable[[Key, Seen], None]


def _nobody(_key: Key, _seen: Seen) -> None:
    return None


class Reconciler:
    """Turns what is wanted into what is, one pass at a time; holds no state of its own."""

    def __init__(self, gateway: Gateway, clock: Callable[[], datetime], watcher: Watcher = _nobody) -> None:
        self._gateway = gateway
        self._clock = clock
        self._watcher = watcher

    async def reconcile(self, key: Key) -> float | None:
        """Do one pass; return the seconds after which to look again. Raises GatewayError."""
        try:
            resource = await self._gateway.get(key)
        except NotFound:
            return None
        try:
            job = parse_job(resource.document)
        except InvalidResource as error:
            await self._refuse(key, resource, error)
            return None
        current = job.status.stage.job if job.status.stage else None
        children = await self._gateway.list_jobs(key, job.metadata.uid, current)
        observed = Observed(job, tuple(children), self._gateway.defaults, self._gateway.full(key))
        decision = decide(observed, self._clock())
        # before any act, also when nothing changed: the version proves that what was read still stands
        if decision.actions or decision.status != job.status:
            await self._gateway.apply_status(key, decision.status, resource.version)
        try:
            for action in decision.actions:
                await self._act(key, action)
        except Refused as error:
            return await self._refused(key, error)
        for event in decision.events:
            await self._tell(key, job.metadata.uid, event, run=decision.status.run)
        idle = not decision.actions and not any(child.state.is_active for child in children)
        now = job.model_copy(update={"status": decision.status})
        self._watcher(key, Seen(now, decision.events, idle, job.status, observed.children))
        return decision.requeue_after

    async def _tell(self, key: Key, uid: str, event: Event, run: int | None = None) -> None:
        """Log an event and publish it, both at its weight."""
        about = {"uid": uid, "run": run, "stage": event.stage and event.stage.value, "reason": event.reason}
        level = logging.WARNING if event.type == "Warning" else logging.INFO
        extra = reference(key, **about)
        log.log(level, "%s: %s", event.reason, event.message, extra=extra)
        await self._gateway.event(key, uid, event)

    async def _act(self, key: Key, action: Action) -> None:
        if isinstance(action, Create):
            await self._gateway.create_job(action.job)
            return
        try:
            await self._gateway.delete_job(key, action.name, action.uid)
        except NotFound:
            log.debug("Job %s is gone already", action.name)

    async def _refused(self, key: Key, error: Refused) -> float:
        """Say that the cluster refused the Job; it is tried again, in case that the cause goes."""
        resource = await self._gateway.get(key)
        job = parse_job(resource.document)
        status = with_refusal(job, str(error), error.remedy, self._clock())
        if status is not None:
            await self._gateway.apply_status(key, status, resource.version)
            stage = status.stage.name if status.stage else None
            event = Event("Warning", Reason.JOB_REFUSED.value, status.message, stage)
            await self._tell(key, job.metadata.uid, event, run=status.run)
        return REFUSED_SECONDS

    async def _refuse(self, key: Key, resource: Resource, error: InvalidResource) -> None:
        """Say what is wrong with the resource, and end what still runs for it."""
        uid = resource.document["metadata"].get("uid", "")
        running = [one for one in await self._gateway.list_jobs(key, uid, None) if one.state.is_active]
        refusal = refuse(resource.document, error, self._clock())
        status = refusal
        if status is None and running:  # said already; the version proves that what was read still stands
            status = PruningJobStatus.model_validate(resource.document.get("status"))
        if status is not None:
            await self._gateway.apply_status(key, status, resource.version)
        for child in running:
            await self._act(key, Delete(child.name, child.uid))
        if refusal is not None:
            await self._tell(key, uid, Event("Warning", Reason.INVALID_SPEC.value, refusal.message))
