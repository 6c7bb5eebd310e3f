"""How many PruningJobs of a namespace run at a time, and who is next: the oldest that waits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secateur_operator.gateway.kube.owners import is_settled, key_of
from secateur_operator.gateway.protocol import Key

Body = Mapping[str, Any]


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
