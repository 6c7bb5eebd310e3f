"""What is looked at for a trouble, and the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from secateur_operator.domain.times import moment_of, seconds_between
from secateur_operator.gateway.kube import names
from secateur_operator.gateway.kube.observe import newest_by_index

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Sight:
    """A Job, its pods, and those events about them that were read."""

    job: Body
    pods: Sequence[Body]
    events: Sequence[Body]
    """Core events, of any object."""
    now: datetime

    @cached_property
    def newest(self) -> dict[int, Body]:
        """The pod of each index that counts, by index."""
        return dict(sorted(newest_by_index(self.pods).items()))

    def age(self, body: Body) -> float:
        """Return the seconds since an object was made; by two machines' clocks, so for rough limits only."""
        return seconds_between(body["metadata"]["creationTimestamp"], self.now)

    def last_event(self, body: Body) -> Body | None:
        """Return the newest event about an object."""
        uid = body["metadata"]["uid"]
        about = [event for event in self.events if event["involvedObject"].get("uid") == uid]
        return max(about, key=_said_at, default=None)


def stage_container(pod: Body) -> Body:
    """Return the stage's container as the pod asks for it."""
    containers = (pod.get("spec") or {}).get("containers") or []
    found: Body = next((one for one in containers if one.get("name") == names.STAGE_CONTAINER), {})
    return found


def _said_at(event: Body) -> datetime:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return moment_of(next(at for at in times if at))
