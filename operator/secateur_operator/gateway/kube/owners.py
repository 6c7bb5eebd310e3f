"""Which PruningJobs have work left, which Job each is at, and how many of a namespace run at a time.

News of others cost nothing. Of those that wait for room, the oldest is next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secateur_api.base import RUN_ANNOTATION
from secateur_api.conditions import Phase
from secateur_operator.gateway.protocol import Key

Body = Mapping[str, Any]


class Owners:
    """What was last heard of each PruningJob that is not settled."""

    def __init__(self) -> None:
        self._current: dict[Key, str | None] = {}
        self._versions: dict[Key, str] = {}
        self._written: dict[Key, str] = {}

    def heard(self, body: Body, gone: bool = False, active: bool = False) -> bool:
        """Note a PruningJob; return whether it is worth a pass.

        ``active``: one of its Jobs is thought to run. The echo of our own write is not worth one.
        """
        key = key_of(body)
        echo = self._written.get(key) == body["metadata"].get("resourceVersion")
        if gone or is_settled(body):
            self._current.pop(key, None)
            self._versions.pop(key, None)
            self._written.pop(key, None)
            return active and not gone and not echo
        self._current[key] = current_job(body)
        self._versions[key] = body["metadata"]["resourceVersion"]
        return not echo

    def wrote(self, body: Body) -> None:
        """Note what the API server answered to our own write of a status."""
        self.heard(body)
        self._written[key_of(body)] = body["metadata"]["resourceVersion"]

    def version(self, key: Key) -> str | None:
        """Return a PruningJob's version that was last heard of or written; None where it is not known."""
        return self._versions.get(key)

    def outdated(self, key: Key) -> None:
        """What was last heard of a PruningJob proved too old to write upon."""
        self._versions.pop(key, None)

    def waits_for(self, key: Key, job: str) -> bool:
        """Whether a PruningJob is at that Job."""
        return self._current.get(key) == job


def key_of(body: Body) -> Key:
    """Return a PruningJob's key."""
    return Key(body["metadata"]["namespace"], body["metadata"]["name"])


def current_job(body: Body) -> str | None:
    """Return the name of the Job that a PruningJob is at."""
    stage = (body.get("status") or {}).get("stage") or {}
    name: str | None = stage.get("job")
    return name


def is_settled(body: Body) -> bool:
    """Whether nothing is to be done for a PruningJob until it is changed.

    It has ended and was not changed or asked to run again since, or it is being deleted.
    """
    meta, status = body["metadata"], body.get("status") or {}
    if meta.get("deletionTimestamp"):
        return True
    asked = str((meta.get("annotations") or {}).get(RUN_ANNOTATION, ""))
    return (
        status.get("phase") in (Phase.SUCCEEDED.value, Phase.FAILED.value)
        and status.get("observedGeneration") == meta.get("generation")
        and not (asked.isdecimal() and int(asked) > status.get("run", 0))
    )


@dataclass
class _Namespace:
    running: set[Key] = field(default_factory=set)
    """Begun, and neither ended nor suspended."""
    granted: set[Key] = field(default_factory=set)
    """Told that they may begin; the status does not say so yet."""
    waiting: dict[Key, str] = field(default_factory=dict)
    """Not begun, to when it was created."""

    def next(self) -> list[Key]:
        """Return who waits, the oldest first."""
        names = self.waiting.keys() - self.granted
        return sorted(names, key=lambda key: (self.waiting[key], key.name))


class Room:
    """Knows what was heard of PruningJobs; asked before one begins."""

    def __init__(self, most: int) -> None:
        """``most``: how many may run at a time in each namespace; 0: as many as there are."""
        self._most = most
        self._namespaces: dict[str, _Namespace] = defaultdict(_Namespace)

    def heard(self, body: Body, gone: bool = False) -> Key | None:
        """Note a PruningJob; return the one that waits and may begin, where this one made room."""
        if not self._most:
            return None
        key, spec, status = key_of(body), body.get("spec") or {}, body.get("status") or {}
        here = self._namespaces[key.namespace]
        had_place = key in here.running or key in here.granted
        here.running.discard(key)
        here.waiting.pop(key, None)
        if gone or is_settled(body) or spec.get("suspend"):
            here.granted.discard(key)
        elif status.get("stage") or status.get("stages"):
            here.granted.discard(key)
            here.running.add(key)
        else:
            here.waiting[key] = body["metadata"].get("creationTimestamp", "")
        if had_place and key not in here.running and key not in here.granted:
            return next(iter(here.next()), None)
        return None

    def full(self, key: Key) -> str:
        """Say why a PruningJob must wait; empty: it may begin, and its place is kept."""
        here = self._namespaces[key.namespace] if self._most else _Namespace()
        if key not in here.waiting or key in here.granted:
            return ""
        free = self._most - len(here.running) - len(here.granted)
        if here.next().index(key) < free:
            here.granted.add(key)
            return ""
        return (
            f"{self._most} PruningJobs of namespace {key.namespace} run, as many as may run at a time there "
            "(--max-running of the operator); this one begins when one of them ends"
        )
