"""PruningJobs that have ended, with their finished Jobs and pods, as a whole run would have left them.

The status and the Jobs are those that the decisions gave in a whole scripted run. Jobs and pods are created
and their status is written: to run ten thousand of them would take a quarter of an hour.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from secateur_api.spec import Store
from secateur_operator.domain.observed import Defaults
from secateur_operator.domain.plan import StageJob, child_name
from secateur_operator.gateway.kube.manifests import PodDefaults, job_manifest
from tests.bench.cluster.client import Client
from tests.bench.cluster.creations import step_of
from tests.bench.cluster.kwok import NODE
from tests.bench.cluster.workload import STORE, document, messages
from tests.control_plane.fake_cluster import FakeCluster, ShardEnd
from tests.unit.control.jobs import START, all_well, drive

_ENDED = "2026-01-01T00:00:00Z"
_KEPT = PodDefaults(ttl_seconds=10**8)
"""So that they are not deleted, though they ended long ago."""


@dataclass(frozen=True)
class History:
    """One job's run to its end."""

    status: dict[str, Any]
    jobs: list[StageJob]


def past(namespace: str) -> History:
    """Let the decisions run a job to its end."""
    jobs: list[StageJob] = []

    def script(wanted: StageJob, index: int) -> ShardEnd:
        jobs.append(wanted)
        return all_well(wanted, index)

    cluster = FakeCluster(script, START, Defaults(Store(uri=STORE)))
    status = drive(cluster, cluster.apply(document(namespace, "past")))
    return History(status.to_wire(), jobs)


async def leave(api: Client, history: History, namespace: str, name: str) -> None:
    """Create one PruningJob that has ended, and its Jobs and pods."""
    group = f"/apis/secateur.dev/v1alpha1/namespaces/{namespace}/pruningjobs"
    made = await api.create(group, document(namespace, name))
    await api.merge(f"{group}/{name}/status", {"status": history.status})
    for job in history.jobs:
        await _leave_job(api, _of(job, name, made["metadata"]["uid"]))


def _of(job: StageJob, owner: str, uid: str) -> StageJob:
    """Return the same Job of another PruningJob."""
    name = child_name(owner, uid, job.run, job.stage, job.round, job.attempt)
    return dataclasses.replace(job, name=name, owner=owner, owner_uid=uid)


async def _leave_job(api: Client, job: StageJob) -> None:
    group = f"/apis/batch/v1/namespaces/{job.namespace}/jobs"
    manifest = job_manifest(job, _KEPT)
    manifest["spec"]["suspend"] = True  # the Job controller makes no pods meanwhile
    made = await api.create(group, manifest)
    await api.merge(f"{group}/{job.name}/status", {"status": _complete()})
    pods = f"/api/v1/namespaces/{job.namespace}/pods"
    pod = await api.create(pods, _pod(made))
    await api.merge(f"{pods}/{pod['metadata']['name']}/status", {"status": _succeeded(pod)})


def _complete() -> dict[str, Any]:
    at = {"status": "True", "reason": "CompletionsReached", "lastTransitionTime": _ENDED}
    return {
        "startTime": _ENDED,
        "completionTime": _ENDED,
        "succeeded": 1,
        "completedIndexes": "0",
        "conditions": [
            {"type": kind, "lastProbeTime": _ENDED, **at} for kind in ("SuccessCriteriaMet", "Complete")
        ],
    }


def _pod(job: dict[str, Any]) -> dict[str, Any]:
    meta, template = job["metadata"], job["spec"]["template"]
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
    index = {"batch.kubernetes.io/job-completion-index": "0"}
    metadata = {
        "name": f"{meta['name']}-0-{meta['uid'][:5]}",
        "labels": template["metadata"]["labels"] | index,
        "annotations": index,
        "ownerReferences": [owner],
    }
    return {"metadata": metadata, "spec": template["spec"] | {"nodeName": NODE}}


def _succeeded(pod: dict[str, Any]) -> dict[str, Any]:
    message = messages()[step_of(pod["metadata"]["labels"])]
    end = {
        "exitCode": 0,
        "reason": "Completed",
        "message": message,
        "startedAt": _ENDED,
        "finishedAt": _ENDED,
    }
    container = {"name": "stage", "image": "bench", "imageID": "", "ready": False, "restartCount": 0}
    containers = [container | {"state": {"terminated": end}}]
    return {"phase": "Succeeded", "startTime": _ENDED, "containerStatuses": containers}
