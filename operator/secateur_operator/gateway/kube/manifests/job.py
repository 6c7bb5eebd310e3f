"""The Kubernetes Job of one attempt at a stage."""

from __future__ import annotations

import math
from typing import Any

from secateur_api.base import API_VERSION, KIND
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.kube.manifests.defaults import PodDefaults
from secateur_operator.gateway.kube.manifests.failure_policy import pod_failure_policy, tries_left
from secateur_operator.gateway.kube.manifests.labels import job_labels
from secateur_operator.gateway.kube.manifests.pod import stage_pod
from secateur_operator.gateway.kube.manifests.template import with_template
from secateur_operator.gateway.kube.names import INPUT_HASH, STAGE_CONTAINER

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
