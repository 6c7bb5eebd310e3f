"""Eventful courses of a job on the fake cluster; each ends the same, whatever the operator suffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from secateur_api import Stage
from secateur_api.conditions import Phase, Reason
from secateur_operator.domain.observed import Trouble
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.protocol import Key
from tests import outcomes
from tests.control_plane.fake_cluster import FakeCluster, Script, ShardEnd
from tests.unit.control.jobs import START, all_well, document, done, drive

SHORT: dict[str, Any] = {
    "pruning": {"target": {"macs": "50%"}, "schedule": {"rounds": 3, "step": 0.3}},
    "benchmark": [],
}
_HELD = Trouble(Reason.QUEUE_WAITING, "held until its user has acted")


@dataclass
class User:
    """Someone who changes the spec once, while the first round's Job is there, and perhaps changes it back.

    That Job is held until the user has seen what the change led to, so that every course has the same moment.
    """

    change: dict[str, Any]
    back_when: Callable[[FakeCluster, Key], bool] | None = None
    """Changes it back when this is seen; None leaves it changed."""
    starts_anew: bool = False
    """The change ends the first run: its round stays held until it is deleted."""
    changes: int = 0

    def act(self, cluster: FakeCluster, key: Key, spec: dict[str, Any]) -> None:
        """Do what this moment asks for."""
        if self.changes == 0 and any("-round-1-" in name for name in cluster.active_jobs(key)):
            self.changes = 1
            cluster.apply(document(**{**spec, **self.change}))
        elif self.changes == 1 and (self.back_when or _is_seen)(cluster, key):
            self.changes = 2
            if self.back_when is not None:
                cluster.apply(document(**spec))

    def holds(self, wanted: StageJob) -> Trouble | None:
        """Keep the first run's round waiting until everything is done."""
        waits = self.changes < 2 or self.starts_anew
        return _HELD if wanted.stage is Stage.ROUND and wanted.run == 1 and waits else None


@dataclass(frozen=True)
class Scenario:
    """A spec, how its stages end, and what else the cluster and the user do."""

    name: str
    spec: dict[str, Any] = field(default_factory=lambda: SHORT)
    script: Script = all_well
    holds: Callable[[StageJob], Trouble | None] = lambda _: None
    refused_for: timedelta | None = None
    """The cluster refuses rounds so long after the start."""
    user: Callable[[], User] | None = None
    takes: tuple[str, ...] = ()
    """Jobs that show that it took place."""
    runs: int = 1
    """The run that it ends in."""
    twice: str | None = None
    """The one Job that is made twice, having been deleted between."""

    def play(self, make: Callable[..., FakeCluster] = FakeCluster, **how: Any) -> FakeCluster:
        """Run it to its end; ``how`` goes to the cluster (such as ``cut_after``) or to ``drive``."""
        drive_options = {name: how.pop(name) for name in ("hears", "resync") if name in how}
        cluster = make(self.script, START, **how)
        user = self.user() if self.user else None
        cluster.holds = user.holds if user else self.holds
        cluster.refuses = lambda wanted: self._refusal(cluster, wanted)
        key = cluster.apply(document(**self.spec))
        if user is not None:
            drive_options["acts"] = lambda: user.act(cluster, key, self.spec)
        drive(cluster, key, **drive_options)
        return cluster

    def _refusal(self, cluster: FakeCluster, wanted: StageJob) -> str | None:
        early = self.refused_for is not None and cluster.now < START + self.refused_for
        return "spec.template.spec.volumes[0]: Required value" if early and wanted.round else None


def _eventful(wanted: StageJob, index: int) -> ShardEnd:
    if wanted.stage is Stage.PREFLIGHT and wanted.attempt == 1:
        return ShardEnd(137, None)
    bad = wanted.stage is Stage.ROUND and wanted.input.round is not None and wanted.input.round.number == 2
    request = wanted.input.model_copy(update={"shard": index})
    return done(outcomes.summary(request, drop=0.2 if bad else 0.001))


def _messages_lost(wanted: StageJob, index: int) -> ShardEnd:
    if wanted.stage in (Stage.SENSITIVITY, Stage.ROUND) and not wanted.recall:
        return ShardEnd(0, None)
    return all_well(wanted, index)


def _nothing_in_the_store(wanted: StageJob, index: int) -> ShardEnd:
    if wanted.stage is Stage.PREFLIGHT and wanted.attempt == 1:
        return ShardEnd(75, None) if wanted.recall else ShardEnd(0, None)
    return all_well(wanted, index)


def _retried_pods(wanted: StageJob, index: int) -> ShardEnd:
    if wanted.stage is Stage.PREFLIGHT and wanted.attempt == 1:
        return ShardEnd(137, None, tries=2)
    well = all_well(wanted, index)
    return ShardEnd(well.exit_code, well.message, tries=3) if wanted.stage is Stage.ROUND else well


def _no_gpu(wanted: StageJob) -> Trouble | None:
    wants = wanted.stage is Stage.ROUND and not wanted.on_cpu and not wanted.recall
    return Trouble(Reason.UNSCHEDULABLE, "no GPU is free") if wants else None


def _is_seen(cluster: FakeCluster, key: Key) -> bool:
    return cluster.status(key).observed_generation == cluster.generation(key)


def _is_suspended(cluster: FakeCluster, key: Key) -> bool:
    return cluster.status(key).phase is Phase.SUSPENDED and not cluster.active_jobs(key)


def _has_failed(cluster: FakeCluster, key: Key) -> bool:
    return cluster.status(key).phase is Phase.FAILED and not cluster.active_jobs(key)


EVENTFUL = Scenario(
    "a retry, a roll-back, a constraint",
    {"sensitivity": {"shards": 2}, "constraints": [{"metric": "speedup", "min": "1.2x"}]},
    _eventful,
)
TROUBLED = (
    Scenario("a Job that is refused at first", refused_for=timedelta(seconds=60)),
    Scenario(
        "messages lost, the results in the store",
        script=_messages_lost,
        takes=("recall-sensitivity-a1", "recall-round-1-a1", "recall-round-2-a1"),
    ),
    Scenario(
        "a message lost, nothing in the store",
        script=_nothing_in_the_store,
        takes=("recall-preflight-a1", "preflight-a2"),
    ),
    Scenario("pods that the cluster tried again", script=_retried_pods, takes=("preflight-a3",)),
    Scenario(
        "no GPU in time",
        {**SHORT, "resources": [{"stages": ["round"], "gpu": 1, "gpuWait": "30s"}]},
        holds=_no_gpu,
        takes=("round-1-a2", "round-2-a2"),
    ),
    Scenario(
        "suspended and resumed", user=lambda: User({"suspend": True}, _is_suspended), twice="round-1-a1"
    ),
    Scenario("more memory while it runs", user=lambda: User({"resources": [{"memory": "8Gi"}]})),
    Scenario("another seed while it runs", user=lambda: User({"seed": 1}, starts_anew=True), runs=2),
    Scenario(
        "made invalid, then mended",
        user=lambda: User({"evaluation": {"metric": "?"}}, _has_failed, starts_anew=True),
        runs=2,
    ),
)
