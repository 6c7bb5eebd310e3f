"""The Kubernetes Job of one attempt at a stage, and which failures of its pods count, end it or pass."""

from __future__ import annotations

import math
from typing import Any

from secateur_api import ExitCode
from secateur_api.base import API_VERSION, KIND
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.kube.manifests.pod import PodDefaults, job_labels, stage_pod
from secateur_operator.gateway.kube.manifests.template import with_template
from secateur_operator.gateway.kube.names import INPUT_HASH, STAGE_CONTAINER

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


_LONGEST_SECONDS = 2**31 - 1


def job_manifest(job: StageJob, defaults: PodDefaults) -> dict[str, Any]:
    """Return the Job as the API server takes it.

    It is Indexed also where it has one pod, so that each pod knows its shard and tries are counted per shard.
    ``suspend`` is left alone: it is Kueue's. Raises Refused, with the path of the field in the PruningJob.
    """
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job.name,
            "namespace": job.namespace,
            "labels": job_labels(job),
            "annotations": {INPUT_HASH: job.input_hash},
            "ownerReferences": [_owner(job)],
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": job.shards,
            "parallelism": job.shards,
            "backoffLimitPerIndex": tries_left(job),
            "maxFailedIndexes": 0,
            "podReplacementPolicy": "Failed",  # two pods never write the same unit
            "podFailurePolicy": pod_failure_policy(STAGE_CONTAINER),
            "activeDeadlineSeconds": min(max(1, math.ceil(job.deadline_seconds)), _LONGEST_SECONDS),
            "ttlSecondsAfterFinished": defaults.ttl_seconds,
            "template": with_template(stage_pod(job, defaults), job.spec.template),
        },
    }


def _owner(job: StageJob) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": job.owner,
        "uid": job.owner_uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
