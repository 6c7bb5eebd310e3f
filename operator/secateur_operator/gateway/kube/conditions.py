"""Reading the conditions of Jobs and pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def condition(body: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return an object's condition of that type if its status is True."""
    found = (body.get("status") or {}).get("conditions") or []
    return next((one for one in found if one.get("type") == kind and one.get("status") == "True"), None)


def has(body: Mapping[str, Any], kind: str) -> bool:
    """Whether an object's condition of that type is True."""
    return condition(body, kind) is not None


def is_finished(job: Mapping[str, Any]) -> bool:
    """Whether a Job has ended, well or badly."""
    return has(job, "Complete") or has(job, "Failed")


def is_silenced(pod: Mapping[str, Any]) -> bool:
    """Whether a pod's node does not answer: it was declared unready although its containers were ready."""
    found = (pod.get("status") or {}).get("conditions") or []
    ready: Mapping[str, Any] = next((one for one in found if one.get("type") == "Ready"), {})
    return ready.get("status") == "False" and not ready.get("reason") and has(pod, "ContainersReady")
