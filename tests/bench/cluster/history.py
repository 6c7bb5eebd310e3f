"""PruningJobs that have ended, with their finished Jobs and pods, made faster than by running them.

The status and the Jobs are those that the decisions gave in a whole scripted run; the real Job controller
runs the Jobs, all at once, and kwok ends their pods.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from secateur_api.spec import Store
from secateur_operator.domain.naming import child_name
from secateur_operator.domain.observed import Defaults
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.fake import FakeCluster, ShardEnd
from secateur_operator.gateway.kube.manifests import PodDefaults, job_manifest
from tests.bench.cluster.client import Client
from tests.bench.cluster.workload import STORE, document
from tests.unit.control.jobs import START, all_well, drive


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
    """Create one PruningJob that has ended, and its Jobs, which end soon."""
    group = f"/apis/secateur.dev/v1alpha1/namespaces/{namespace}/pruningjobs"
    made = await api.create(group, document(namespace, name))
    await api.merge(f"{group}/{name}/status", {"status": history.status})
    for job in history.jobs:
        manifest = job_manifest(_of(job, name, made["metadata"]["uid"]), PodDefaults())
        await api.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", manifest)


def _of(job: StageJob, owner: str, uid: str) -> StageJob:
    """Return the same Job of another PruningJob."""
    name = child_name(owner, uid, job.run, job.stage, job.round, job.attempt)
    return dataclasses.replace(job, name=name, owner=owner, owner_uid=uid)
