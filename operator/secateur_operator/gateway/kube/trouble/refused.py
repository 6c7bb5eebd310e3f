"""Jobs whose pods the API server does not let in: only an event of the Job tells."""

from __future__ import annotations

import re

from secateur_api.conditions import Reason
from secateur_operator.domain.observed import Trouble
from secateur_operator.gateway.kube.trouble.sight import Body, Sight

_NOISE = re.compile(r"^Error creating: |pods \"[^\"]*\" is forbidden: ")
_REMEDIES = (
    ("exceeded quota", "raise the ResourceQuota, wait until others end, or ask for less in spec.resources[]"),
    ("PodSecurity", "remove from spec.template what violates it, or run in another namespace"),
    ("per Container is", "keep spec.resources[] within the namespace's LimitRange"),
    ("serviceaccount", "create it, or change serviceAccountName in spec.template"),
    ("PriorityClass", "create it, or change priorityClassName in spec.template"),
)


def trouble_of(sight: Sight) -> Trouble | None:
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
