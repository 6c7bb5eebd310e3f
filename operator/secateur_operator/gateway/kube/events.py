"""Events about PruningJobs: one object per message, counted when it is said again.

They are core/v1's, since ``kubectl describe`` sorts by ``lastTimestamp``, which events.k8s.io/v1 refuses.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from secateur_api.base import API_VERSION, GROUP, KIND
from secateur_operator.domain.decision import Event
from secateur_operator.domain.times import stamp
from secateur_operator.gateway.kube.client import KubeClient, Object
from secateur_operator.gateway.kube.names import EVENTS
from secateur_operator.gateway.protocol import AlreadyExists, GatewayError, Key, NotFound

log = logging.getLogger(__name__)

CONTROLLER = f"{GROUP}/operator"
ACTION = "Reconcile"
NOTE_LIMIT = 1024
"""Longest note that the API takes, in bytes."""


class EventRecorder:
    """Writes events; one that cannot be written is logged, for it must not hold up the work."""

    def __init__(self, client: KubeClient, instance: str, clock: Callable[[], datetime]) -> None:
        """``instance`` names this process (its pod), at most 128 characters."""
        self._client = client
        self._instance = instance[:128]
        self._clock = clock
        self._last: dict[str, datetime] = {}

    async def record(self, key: Key, uid: str, event: Event) -> None:
        """Publish an event about a PruningJob; the same one said again raises its count."""
        body = event_body(key, uid, event, self._instance, self._now(), self._place(uid))
        try:
            try:
                await self._client.create(EVENTS, key.namespace, body)
            except AlreadyExists:
                await self._count(key.namespace, body["metadata"]["name"], body["lastTimestamp"])
        except NotFound as error:
            log.debug("event %s of %s/%s was not written: %s", event.reason, *key, error)
        except GatewayError as error:
            log.warning("event %s of %s/%s was not written: %s", event.reason, *key, error)

    async def is_ending(self, key: Key, uid: str) -> bool:
        """Whether a namespace is being deleted; a dry run asks, which needs no right of its own."""
        asked = Event("Normal", "Probe", "is this namespace being deleted?")
        now = self._now()
        body = event_body(key, uid, asked, self._instance, now, f"{now[:19]}Z")
        try:
            await self._client.create(EVENTS, key.namespace, body, dry_run=True)
        except NotFound:
            return True
        return False

    async def _count(self, namespace: str, name: str, place: str) -> None:
        """Raise the count of an event that is there; two writers at once may count one time too few."""
        before = await self._client.get(EVENTS, namespace, name)
        series = {"count": (before.get("count") or 1) + 1, "lastTimestamp": place}
        await self._client.merge(EVENTS, namespace, name, series)

    def _place(self, uid: str) -> str:
        """Return the second that sorts an event after those before it: a pass says several in one second."""
        now = self._clock().astimezone(UTC).replace(microsecond=0)
        self._last = {about: last for about, last in self._last.items() if last >= now}
        place = max(now, self._last.get(uid, now - timedelta(seconds=1)) + timedelta(seconds=1))
        self._last[uid] = place
        return place.isoformat().replace("+00:00", "Z")

    def _now(self) -> str:
        return stamp(self._clock(), "microseconds")


def event_body(key: Key, uid: str, event: Event, instance: str, at: str, place: str) -> Object:
    """Return the event; its name is a function of what it says, so that it exists once. Pure.

    ``at`` is the time, ``place`` the whole second by which it is sorted.
    """
    digest = hashlib.sha256(f"{uid}/{event.type}/{event.reason}/{event.message}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{key.name}.{digest}", "namespace": key.namespace},
        "eventTime": at,
        "type": event.type,
        "reason": event.reason,
        "action": ACTION,
        "message": _fitting(event.message),
        "count": 1,
        "firstTimestamp": place,
        "lastTimestamp": place,
        "source": {"component": CONTROLLER},
        "reportingComponent": CONTROLLER,
        "reportingInstance": instance,
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": key.namespace,
            "name": key.name,
            "uid": uid,
        },
    }


def _fitting(text: str) -> str:
    """Cut a text to the limit, which counts bytes."""
    sent = text.encode()
    return text if len(sent) <= NOTE_LIMIT else sent[: NOTE_LIMIT - 3].decode(errors="ignore") + "..."
