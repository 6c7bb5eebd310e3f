"""Which failures of a pod count, which end the Job at once, which are ignored."""

from __future__ import annotations

from typing import Any

from secateur_api import ExitCode
from secateur_operator.domain.plan import StageJob

FINAL = sorted(int(code) for code in ExitCode if code.is_user_error or code is ExitCode.INTERNAL)
"""Exit codes after which another try cannot help."""


def pod_failure_policy(container: str) -> dict[str, Any]:
    """Return the policy; the first rule that fits counts.

    A pod that was drained, evicted or preempted did nothing wrong: it is replaced and does not count. What
    fits no rule (a crash, lack of memory, a retryable fault) counts and is tried again.
    """
    return {
        "rules": [
            {
                "action": "Ignore",
                "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
            },
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": container, "operator": "In", "values": FINAL},
            },
        ]
    }


def tries_left(job: StageJob) -> int:
    """Return how often the Job may replace a failed pod, per index: what is left of ``budget.retries``.

    A recall has one try: after it the stage runs anew, and looks into the store as well.
    """
    return 0 if job.recall else max(0, job.spec.budget.retries - (job.attempt - 1))
