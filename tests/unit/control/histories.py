"""Every version of a PruningJob that a watching client sees, over whole courses of jobs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from secateur_api import Stage
from secateur_api.crd import UNSEEN_STATUS
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.protocol import Key
from tests import outcomes
from tests.control_plane.fake_cluster import FakeCluster, Script, ShardEnd
from tests.unit.control.jobs import START, all_well, document, done, drive, failed
from tests.unit.control.scenarios import EVENTFUL, TROUBLED

Document = dict[str, Any]


@functools.cache
def history(course: str) -> list[Document]:
    """Return a course's versions in order, as an API server with the CRD would show them."""
    cluster = COURSES[course]()
    versions = cluster.versions(Key("default", document()["metadata"]["name"]))
    return [{**one, "status": one.get("status") or UNSEEN_STATUS} for one in versions]


def _bad_weights(wanted: StageJob, index: int) -> ShardEnd:
    if wanted.stage is Stage.PREFLIGHT:
        return failed(Stage.PREFLIGHT, 66, "WeightsMissing", "spec.model.weights.uri: no such file")
    return all_well(wanted, index)


def _worse(wanted: StageJob, index: int) -> ShardEnd:
    return done(outcomes.summary(wanted.input.model_copy(update={"shard": index}), drop=0.04))


def _driven(script: Script, **spec: Any) -> FakeCluster:
    cluster = FakeCluster(script, START)
    drive(cluster, cluster.apply(document(**spec)))
    return cluster


def _suspended_after_the_end() -> FakeCluster:
    cluster = _driven(all_well)
    drive(cluster, cluster.apply(document(suspend=True)))
    return cluster


_BOUND = {"metric": "accuracyDrop", "max": "1%"}
COURSES: dict[str, Callable[[], FakeCluster]] = {
    **{one.name: one.play for one in (EVENTFUL, *TROUBLED)},
    "a user error": lambda: _driven(_bad_weights),
    "a constraint that does not hold": lambda: _driven(_worse, constraints=[_BOUND]),
    "ended, then told to suspend": _suspended_after_the_end,
}
