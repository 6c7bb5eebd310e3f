"""The trouble of a Job: the worst of what is found.

Pods that the API server does not let in are told of by an event of the Job alone; pods that ran say what
ended them, if it was not their own work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import ValidationError

from secateur_api import StageSummary
from secateur_api.conditions import Reason
from secateur_operator.domain.observed import JobState, Trouble
from secateur_operator.gateway.kube import names
from secateur_operator.gateway.kube.observe import (
    completions,
    condition,
    failures,
    has,
    has_ended,
    is_silenced,
    phase,
    recorded_state,
    terminated,
)
from secateur_operator.gateway.kube.trouble import waiting
from secateur_operator.gateway.kube.trouble.waiting import Body, Sight, stage_container

_NOISE = re.compile(r"^Error creating: |pods \"[^\"]*\" is forbidden: ")
_REMEDIES = (
    ("exceeded quota", "raise the ResourceQuota, wait until others end, or ask for less in spec.resources[]"),
    ("PodSecurity", "remove from spec.template what violates it, or run in another namespace"),
    ("per Container is", "keep spec.resources[] within the namespace's LimitRange"),
    ("serviceaccount", "create it, or change serviceAccountName in spec.template"),
    ("PriorityClass", "create it, or change priorityClassName in spec.template"),
)


def _refused(sight: Sight) -> Trouble | None:
    """Return why a Job lacks pods, if its newest event says so."""
    event: Body | None = sight.last_event(sight.job)
    if event is None or event.get("reason") != "FailedCreate":
        return None
    said = _NOISE.sub("", str(event.get("message", ""))).strip()
    remedy = next((how for word, how in _REMEDIES if word in said), "change spec.template accordingly")
    name, namespace = sight.job["metadata"]["name"], sight.job["metadata"]["namespace"]
    return Trouble(
        Reason.POD_REFUSED, f"namespace {namespace} does not admit pods of Job {name}: {said}; {remedy}"
    )


_BY_NODE_LOSS = ("DeletionByTaintManager", "DeletionByPodGC")


def _disturbed(pod: Body) -> Trouble | None:
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
        f"node {node} of pod {_name(pod)} does not answer; the stage continues when the node is back; "
        f"if it never comes back, `kubectl delete node {node}` lets the pod start elsewhere",
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


NO_POD_SECONDS = 5.0
"""How long the Job controller may take to make pods before it is asked why it did not."""
_MILDEST_LAST = (
    Reason.OUT_OF_MEMORY,
    Reason.NODE_LOST,
    Reason.IMAGE_UNAVAILABLE,
    Reason.SECRET_MISSING,
    Reason.VOLUME_MISSING,
    Reason.POD_REFUSED,
    Reason.BUDGET_EXCEEDED,
    Reason.RETRYING,
    Reason.EVICTED,
    Reason.UNSCHEDULABLE,
    Reason.QUEUE_WAITING,
    Reason.POD_STARTING,
)


def find(sight: Sight) -> Trouble | None:
    """Return the trouble that a Job is in, or that it failed of; None if it gets on.

    Of several pods' troubles the one that needs a person most counts.
    """
    found = sorted(_all(sight), key=lambda trouble: _MILDEST_LAST.index(trouble.reason))
    return found[0] if found else None


def unexplained(sight: Sight) -> list[Body]:
    """Return the objects whose events may explain what Job and pods do not say; reading events is dear."""
    if has(sight.job, "Failed") or has(sight.job, "Complete"):
        return []
    silent = [
        pod for pod in sight.newest.values() if phase(pod) == "Pending" and waiting.is_silent(sight, pod)
    ]
    return [sight.job, *silent] if _lacks_pods(sight) else silent


def _all(sight: Sight) -> Iterator[Trouble]:
    if has(sight.job, "Complete"):
        return
    over = condition(sight.job, "Failed")
    if over is not None:
        yield from _why_failed(sight, over)
        return
    if (sight.job.get("spec") or {}).get("suspend"):
        yield _held(sight.job)
        return
    limit = int(sight.job["spec"].get("backoffLimitPerIndex") or 0)
    for pod in sight.newest.values():
        if phase(pod) == "Pending":
            found = _disturbed(pod) or waiting.trouble_of(sight, pod)
        else:
            found = _disturbed(pod) or retrying(pod, limit)
        if found is not None:
            yield found
    if _lacks_pods(sight) and (refusal := _refused(sight)) is not None:
        yield refusal


def _why_failed(sight: Sight, over: Body) -> Iterator[Trouble]:
    for pod in sight.newest.values():
        found = _disturbed(pod)
        if found is not None:
            yield found
    if over.get("reason") == "DeadlineExceeded":
        seconds = sight.job["spec"].get("activeDeadlineSeconds")
        yield Trouble(
            Reason.BUDGET_EXCEEDED,
            f"the Job ran into its deadline of {seconds} s, which was what spec.budget.wallClock had left",
        )


def _held(job: Body) -> Trouble:
    name, queue = job["metadata"]["name"], (job["metadata"].get("labels") or {}).get(names.QUEUE_LABEL)
    if queue is None:
        return Trouble(
            Reason.QUEUE_WAITING,
            f"Job {name} is suspended, not by Secateur; it starts when its own spec.suspend is set to false",
        )
    place = f"`kubectl get workloads -n {job['metadata']['namespace']}` shows its place"
    return Trouble(Reason.QUEUE_WAITING, f"Job {name} waits in queue {queue}; {place}")


def _lacks_pods(sight: Sight) -> bool:
    """Whether an index that is not done has no pod, some time after the Job started."""
    if (sight.job.get("spec") or {}).get("suspend") or sight.age(sight.job) < NO_POD_SECONDS:
        return False
    indexes = range(completions(sight.job))
    return any(
        index not in sight.newest and recorded_state(sight.job, index) is JobState.PENDING
        for index in indexes
    )
