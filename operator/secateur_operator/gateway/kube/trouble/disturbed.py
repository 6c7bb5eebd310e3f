"""Pods that ran and were ended, or are being ended, by something other than their own work."""

from __future__ import annotations

from pydantic import ValidationError

from secateur_api import StageSummary
from secateur_api.conditions import Reason
from secateur_operator.domain.observed import Trouble
from secateur_operator.gateway.kube.conditions import condition, is_silenced
from secateur_operator.gateway.kube.observe import failures, has_ended, phase, terminated
from secateur_operator.gateway.kube.trouble.sight import Body, stage_container

_BY_NODE_LOSS = ("DeletionByTaintManager", "DeletionByPodGC")


def trouble_of(pod: Body) -> Trouble | None:
    """Return what outside its work ended a pod, is ending it, or cut it off; None if nothing did."""
    if phase(pod) == "Succeeded":
        return None
    return _node_lost(pod) or _evicted(pod) or _out_of_memory(pod)


def retrying(pod: Body, limit: int) -> Trouble | None:
    """Return why a pod failed whose Job will try again; ``limit``: how often it retries an index."""
    if phase(pod) != "Failed":
        return None
    end = terminated(pod) or {}
    said = _said(end.get("message")) or f"the process ended with exit code {end.get('exitCode', 'unknown')}"
    tried = failures(pod) + 1
    return Trouble(
        Reason.RETRYING,
        f"pod {_name(pod)}: {said}; the Job starts try {tried + 1} of {limit + 1} after a pause",
    )


def _node_lost(pod: Body) -> Trouble | None:
    """A node that went silent: its pods are declared unready although their containers were ready."""
    node = (pod.get("spec") or {}).get("nodeName", "unknown")
    target = condition(pod, "DisruptionTarget")
    if not is_silenced(pod) and (target is None or target.get("reason") not in _BY_NODE_LOSS):
        return None
    if has_ended(pod):
        return Trouble(
            Reason.NODE_LOST, f"pod {_name(pod)} was lost with node {node}; it starts again by itself"
        )
    return Trouble(
        Reason.NODE_LOST,
        f"node {node} of pod {_name(pod)} does not answer; the stage goes on when the node is back; "
        f"if it never will be, `kubectl delete node {node}` lets the pod start elsewhere",
    )


def _evicted(pod: Body) -> Trouble | None:
    status, target = pod.get("status") or {}, condition(pod, "DisruptionTarget")
    if status.get("reason") == "Evicted":
        said = str(status.get("message", "")).strip().rstrip(".")
        return Trouble(
            Reason.EVICTED,
            f"pod {_name(pod)} was evicted by its node: {said}; it starts again; "
            "if this comes back, raise memory in spec.resources[] or the volume's limits in spec.template",
        )
    if target is None:
        return None
    why = target.get("message") or target.get("reason")
    return Trouble(
        Reason.EVICTED,
        f"pod {_name(pod)} was evicted ({target.get('reason')}: {why}); it starts again by itself, "
        "and what it had finished is kept",
    )


def _out_of_memory(pod: Body) -> Trouble | None:
    if (terminated(pod) or {}).get("reason") != "OOMKilled" or not has_ended(pod):
        return None
    limit = ((stage_container(pod).get("resources") or {}).get("limits") or {}).get("memory")
    of_it = f"its limit of {limit}" if limit else "the node could give"
    return Trouble(
        Reason.OUT_OF_MEMORY,
        f"pod {_name(pod)} needed more memory than {of_it}; raise spec.resources[].memory, "
        "or use a smaller batch",
    )


def _said(message: str | None) -> str | None:
    """Return what a stage's summary says went wrong."""
    try:
        summary = StageSummary.model_validate_json(message or "")
    except ValidationError:
        return None
    return f"{summary.reason}: {summary.message}"


def _name(pod: Body) -> str:
    return str(pod["metadata"]["name"])
