"""The trouble of a Job: the worst of what is found."""

from __future__ import annotations

from collections.abc import Iterator

from secateur_api.conditions import Reason
from secateur_operator.domain.observed import JobState, Trouble
from secateur_operator.gateway.kube import names
from secateur_operator.gateway.kube.conditions import condition, has
from secateur_operator.gateway.kube.observe import completions, phase, recorded_state
from secateur_operator.gateway.kube.trouble import disturbed, refused, waiting
from secateur_operator.gateway.kube.trouble.sight import Body, Sight

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
            found = disturbed.trouble_of(pod) or waiting.trouble_of(sight, pod)
        else:
            found = disturbed.trouble_of(pod) or disturbed.retrying(pod, limit)
        if found is not None:
            yield found
    if _lacks_pods(sight) and (refusal := refused.trouble_of(sight)) is not None:
        yield refusal


def _why_failed(sight: Sight, over: Body) -> Iterator[Trouble]:
    for pod in sight.newest.values():
        found = disturbed.trouble_of(pod)
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
