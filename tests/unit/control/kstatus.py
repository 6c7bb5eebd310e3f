"""kstatus' rules for a custom resource, written from its documentation (cli-utils, pkg/kstatus/README.md)."""

from __future__ import annotations

from typing import Any, Literal

KStatus = Literal["InProgress", "Failed", "Current", "Terminating"]


def kstatus(resource: dict[str, Any]) -> KStatus:
    """Return what kstatus (so Flux, and ``kubectl`` tools that wait) says of a resource."""
    metadata, status = resource["metadata"], resource.get("status", {})
    if "deletionTimestamp" in metadata:
        return "Terminating"
    # what the controller has not seen it has not acted upon
    if "observedGeneration" in status and status["observedGeneration"] != metadata["generation"]:
        return "InProgress"
    conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    # neither is said: Ready counts if it is there, else the resource is taken for reconciled
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"
