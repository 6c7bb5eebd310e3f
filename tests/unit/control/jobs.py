"""Small PruningJobs, and a cluster that drives one to its end."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from secateur_api import PruningJob, PruningJobStatus, Stage, StageSummary, parse_job
from secateur_operator.domain.plan import StageJob
from secateur_operator.engine.reconciler import Reconciler
from secateur_operator.gateway.protocol import GatewayError, Key
from tests import outcomes
from tests.control_plane.fake_cluster import Cut, FakeCluster, ShardEnd

_LOOP = asyncio.Runner()
START = datetime(2026, 1, 1, tzinfo=UTC)


def document(**spec: Any) -> dict[str, Any]:
    """Return a PruningJob with target 50 %, step 20 %; ``spec`` replaces top-level fields of the spec."""
    base: dict[str, Any] = {
        "model": {
            "factory": "some.module:net",
            "pretrain": {"epochs": 1},
            "inputs": [{"name": "image", "shape": [1, 3, 32, 32]}],
        },
        "data": {"factory": "some.module:splits"},
        "pruning": {"target": {"macs": "50%"}, "schedule": {"rounds": 5, "step": 0.2}},
        "convert": [{"format": "paddle-lite", "backend": "x86"}],
    }
    base.update(spec)
    return {
        "apiVersion": "secateur.dev/v1alpha1",
        "kind": "PruningJob",
        "metadata": {"name": "digits"},
        "spec": copy.deepcopy(base),
    }


def job(status: PruningJobStatus | None = None, **spec: Any) -> PruningJob:
    """Return the same, parsed, with a uid."""
    text = document(**spec)
    text["metadata"].update(uid="u-1", generation=1)
    found = parse_job(text)
    return found if status is None else found.model_copy(update={"status": status})


def done(summary: StageSummary) -> ShardEnd:
    """End a scripted process well."""
    return ShardEnd(0, summary.model_dump_json(by_alias=True, exclude_none=True))


def failed(stage: Stage, code: int, reason: str, message: str) -> ShardEnd:
    """End a scripted process with a failure it could explain."""
    summary = StageSummary(stage=stage, ok=False, reason=reason, message=message)
    return ShardEnd(code, summary.model_dump_json(by_alias=True, exclude_none=True))


def all_well(wanted: StageJob, index: int) -> ShardEnd:
    """Every stage ends well."""
    return done(outcomes.summary(wanted.input.model_copy(update={"shard": index})))


def drive(
    cluster: FakeCluster,
    key: Key,
    *,
    hears: Callable[[], bool] = lambda: True,
    acts: Callable[[], None] = lambda: None,
    resync: float = 300.0,
    limit: int = 4000,
) -> PruningJobStatus:
    """Let time pass and reconcile until the job has ended, its newest spec was seen, and nothing runs.

    ``hears`` says whether a change is heard of; what is not heard of is found by requeue or resync. The
    operator starts again after each Cut. ``acts`` is what a user does, at any moment. Fails if the job does
    not end.
    """
    due, next_resync = cluster.now, cluster.now
    for _ in range(limit):
        acts()
        heard = key in cluster.pending and hears()
        cluster.pending.discard(key)
        if heard or cluster.now >= min(due, next_resync):
            if cluster.now >= next_resync:
                next_resync = cluster.now.fromtimestamp(cluster.now.timestamp() + resync, UTC)
            after = pass_over(cluster, key)
            due = cluster.now.fromtimestamp(cluster.now.timestamp() + min(after, 86400.0), UTC)
        if key not in cluster.pending and not cluster.active_jobs(key):
            status = cluster.status(key)
            if status.phase.is_final and status.observed_generation == cluster.generation(key):
                return status
        cluster.tick()
    raise AssertionError(f"the job did not end: {cluster.status(key).message}")


def pass_over(cluster: FakeCluster, key: Key) -> float:
    """Reconcile once; return the seconds after which to look again."""
    reconciler = Reconciler(cluster, lambda: cluster.now)
    try:
        after = _LOOP.run(reconciler.reconcile(key))
    except (GatewayError, Cut):
        return 0.0
    return 86400.0 if after is None else after
