"""What the gateway over the API promises, on a real cluster with real pods."""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from secateur_api import PruningJobStatus, Stage, StageInput
from secateur_api.conditions import Phase, Reason
from secateur_api.spec import StageResources, Store
from secateur_api.status import CurrentStage, JobProgress
from secateur_operator.domain.decision import Event
from secateur_operator.domain.observed import Defaults, JobState, ObservedJob
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.kube.client import KubeClient
from secateur_operator.gateway.kube.gateway import KubeGateway
from secateur_operator.gateway.kube.lease import Lease, Leases
from secateur_operator.gateway.kube.manifests import PodDefaults, job_manifest
from secateur_operator.gateway.kube.names import EVENTS, JOBS, PODS, PRUNING_JOBS
from secateur_operator.gateway.protocol import (
    AlreadyExists,
    Conflict,
    Key,
    NotFound,
    NotLeader,
    Refused,
    Transient,
)
from tests.cluster_kit.cluster import IMAGE, Cluster
from tests.cluster_kit.fixtures import cluster  # noqa: F401
from tests.unit.control.jobs import document, job

pytestmark = pytest.mark.cluster

END_WELL = "open('/dev/termination-log','w').write('{\"said\": \"done\"}')"
SLEEP = "import time; time.sleep(600)"


@dataclass
class Place:
    """A namespace with one PruningJob, a gateway on it, and somebody who watches."""

    cluster: Cluster
    namespace: str
    client: KubeClient
    gateway: KubeGateway
    uid: str
    requests: Counter[tuple[str, str]]
    leads: bool = True
    script: str = SLEEP

    @property
    def key(self) -> Key:
        return Key(self.namespace, "digits")

    def manifest(self, wanted: StageJob) -> dict[str, Any]:
        """Build the real Job, with a small script in place of the stage."""
        built = job_manifest(wanted, PodDefaults(image_pull_policy="IfNotPresent"))
        built["spec"]["template"]["spec"]["containers"][0]["command"] = ["python", "-c", self.script]
        return built

    async def current(self, name: str = "a-job") -> ObservedJob:
        """Tell the gateway all there is, as watches would, and read the Job."""
        async for body in self.client.items(PRUNING_JOBS, self.namespace):
            self.gateway.heard_pruningjob(body)
        async for body in self.client.items(JOBS, self.namespace):
            self.gateway.heard_job(body)
        async for body in self.client.items(PODS, self.namespace):
            self.gateway.heard_pod(body)
        self.gateway.jobs_listed()
        self.gateway.pods_listed()
        found = await self.gateway.list_jobs(self.key, self.uid, name)
        return next(one for one in found if one.name == name)

    async def until(self, holds: Callable[[ObservedJob], object], seconds: float = 60.0) -> ObservedJob:
        """Look at the Job until something holds."""
        seen = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    seen = await self.current()
                    if holds(seen):
                        return seen
                    await asyncio.sleep(0.3)
        except TimeoutError:
            raise AssertionError(f"not within {seconds} s; last seen: {seen}") from None

    async def write_current(self, name: str = "a-job") -> None:
        """Write a status that is at that Job."""
        stage = CurrentStage(name=Stage.PRETRAIN, job=name, started_at="2026-01-01T00:00:00.000Z")
        read = await self.gateway.get(self.key)
        status = PruningJobStatus(phase=Phase.RUNNING, stage=stage)
        await self.gateway.apply_status(self.key, status, read.version)


def stage_job(place: Place, *, seed: int = 0, shards: int = 1, retries: int = 0, **spec: Any) -> StageJob:
    wanted = job(seed=seed).spec.model_copy(
        update={
            "image": IMAGE,
            "store": Store(uri="memory://store"),
            "resources": [StageResources(cpu="10m", memory="128Mi")],
            **spec,
        }
    )
    wanted = wanted.model_copy(update={"budget": wanted.budget.model_copy(update={"retries": retries})})
    told = StageInput(
        job="digits", stage=Stage.PRETRAIN, spec=job(seed=seed).spec, store="memory://store", shards=shards
    )
    return StageJob("a-job", "digits", place.namespace, place.uid, 1, None, 1, told, wanted, 3600.0)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:  # noqa: F811
    name = f"secateur-gateway-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


Scenario = Callable[[Place], Awaitable[None]]
Play = Callable[[Scenario], None]


@pytest.fixture
def play(cluster: Cluster, namespace: str) -> Play:  # noqa: F811
    """Run a scenario in a namespace of its own."""

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Place]:
        requests: Counter[tuple[str, str]] = Counter()
        client = await KubeClient.connect(lambda verb, kind, code, seconds: requests.update([(verb, kind)]))
        made = await client.create(PRUNING_JOBS, namespace, {**document(), "metadata": {"name": "digits"}})

        def build(wanted: StageJob) -> dict[str, Any]:
            return place.manifest(wanted)

        gateway = KubeGateway(
            client,
            Defaults(Store(uri="memory://store"), IMAGE),
            build,
            namespaces=(namespace,),
            fence=lambda: place.leads,
        )
        place = Place(cluster, namespace, client, gateway, made["metadata"]["uid"], requests)
        try:
            yield place
        finally:
            await client.close()

    async def inside(scenario: Scenario) -> None:
        async with opened() as place:
            await scenario(place)

    return lambda scenario: asyncio.run(inside(scenario))


# ---- Jobs ----


def test_a_job_is_created_once(play: Play) -> None:
    async def scenario(place: Place) -> None:
        await place.gateway.create_job(stage_job(place))
        await place.gateway.create_job(stage_job(place))
        seen = await place.gateway.list_jobs(place.key, place.uid, "a-job")
        assert [(one.name, one.run) for one in seen] == [("a-job", 1)]

    play(scenario)


def test_a_name_taken_by_something_else_is_a_visible_conflict(play: Play) -> None:
    async def scenario(place: Place) -> None:
        await place.gateway.create_job(stage_job(place))
        for other in (stage_job(place, seed=1), replace(stage_job(place), owner_uid=str(uuid.uuid4()))):
            with pytest.raises(AlreadyExists, match="another owner or input"):
                await place.gateway.create_job(other)

    play(scenario)


def test_a_job_that_is_still_being_deleted_is_waited_for(play: Play) -> None:
    async def scenario(place: Place) -> None:
        await place.gateway.create_job(stage_job(place))
        await place.until(lambda seen: seen.state is JobState.RUNNING)
        place.cluster.kubectl(
            "delete", "job", "a-job", "-n", place.namespace, "--cascade=foreground", "--wait=false"
        )
        with pytest.raises(Transient, match="still being deleted"):
            await place.gateway.create_job(stage_job(place))

    play(scenario)


def test_deletes_carry_a_precondition_and_end_the_pods(play: Play) -> None:
    async def scenario(place: Place) -> None:
        await place.gateway.create_job(stage_job(place))
        seen = await place.until(lambda seen: seen.state is JobState.RUNNING)
        with pytest.raises(Conflict):
            await place.gateway.delete_job(place.key, seen.name, str(uuid.uuid4()))
        await place.gateway.delete_job(place.key, seen.name, seen.uid)
        assert await place.gateway.list_jobs(place.key, place.uid, "a-job") == []
        with pytest.raises(NotFound):
            await place.gateway.delete_job(place.key, seen.name, seen.uid)
        async with asyncio.timeout(30):
            while [pod async for pod in place.client.items(PODS, place.namespace)]:
                await asyncio.sleep(0.3)

    play(scenario)


def test_what_the_cluster_does_not_take_is_refused_with_the_reason(play: Play) -> None:
    async def scenario(place: Place) -> None:
        place.cluster.kubectl("create", "quota", "none", "-n", place.namespace, "--hard=count/jobs.batch=0")
        with pytest.raises(Refused, match="exceeded quota: none"):
            await place.gateway.create_job(stage_job(place))

    play(scenario)


def test_in_a_namespace_that_ends_nothing_can_be_found(play: Play) -> None:
    async def scenario(place: Place) -> None:
        held = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "held", "namespace": place.namespace, "finalizers": ["secateur.dev/test"]},
        }
        place.cluster.apply(held)
        place.cluster.kubectl("delete", "namespace", place.namespace, "--wait=false")
        try:
            with pytest.raises(NotFound, match="being terminated"):
                await place.gateway.create_job(stage_job(place))
        finally:
            place.cluster.kubectl(
                "patch", "configmap", "held", "-n", place.namespace, "--type=merge",
                "-p", '{"metadata":{"finalizers":null}}',
            )  # fmt: skip

    play(scenario)


def test_a_namespace_that_ends_is_not_held_up_by_a_job(play: Play) -> None:
    async def scenario(place: Place) -> None:
        await place.gateway.create_job(stage_job(place, retries=2))
        await place.until(lambda seen: seen.state is JobState.RUNNING)
        place.cluster.kubectl("delete", "namespace", place.namespace, "--wait=false")
        with pytest.raises(NotFound, match="is being deleted, and so was Job a-job"):
            await place.until(lambda seen: False, seconds=20)
        async with asyncio.timeout(30):
            while place.cluster.kubectl("get", "namespace", place.namespace, "--ignore-not-found"):
                await asyncio.sleep(0.5)

    play(scenario)


# ---- the status ----


def test_a_status_is_written_only_on_what_was_read(play: Play) -> None:
    async def scenario(place: Place) -> None:
        gateway, key = place.gateway, place.key
        read = await gateway.get(key)
        await gateway.apply_status(key, PruningJobStatus(message="first"), read.version)
        with pytest.raises(Conflict):
            await gateway.apply_status(key, PruningJobStatus(message="second"), read.version)
        again = await gateway.get(key)
        assert again.document["status"]["message"] == "first"
        await gateway.apply_status(key, PruningJobStatus(message="first"), again.version)
        assert (await gateway.get(key)).version == again.version  # no change, no new version

    play(scenario)


def test_what_a_status_leaves_out_is_gone(play: Play) -> None:
    async def scenario(place: Place) -> None:
        await place.write_current()
        read = await place.gateway.get(place.key)
        running = PruningJobStatus.model_validate(read.document["status"])
        full = running.model_copy(
            update={
                "progress": JobProgress(percent=10.0, metric=0.9, heartbeat="2026-01-01T00:00:00.000Z"),
                "resolved_spec": {"a": {"b": 1, "c": 2}},
            }
        )
        await place.gateway.apply_status(place.key, full, read.version)
        read = await place.gateway.get(place.key)
        assert read.document["status"]["progress"]["metric"] == 0.9
        less = PruningJobStatus(phase=Phase.SUCCEEDED, resolved_spec={"a": {"c": 2}})
        await place.gateway.apply_status(place.key, less, read.version)
        status = (await place.gateway.get(place.key)).document["status"]
        assert {name for name in ("stage", "progress") if name in status} == set()
        assert status["resolvedSpec"] == {"a": {"c": 2}}
        assert PruningJobStatus.model_validate(status) == less

    play(scenario)


def test_a_pruningjob_that_is_gone_or_going_is_not_found(play: Play) -> None:
    async def scenario(place: Place) -> None:
        with pytest.raises(NotFound):
            await place.gateway.get(Key(place.namespace, "nobody"))
        place.cluster.kubectl(
            "patch", "pruningjob", "digits", "-n", place.namespace, "--type=merge",
            "-p", '{"metadata":{"finalizers":["secateur.dev/test"]}}',
        )  # fmt: skip
        place.cluster.kubectl("delete", "pruningjob", "digits", "-n", place.namespace, "--wait=false")
        with pytest.raises(NotFound, match="being deleted"):
            await place.gateway.get(place.key)
        assert await place.gateway.keys() == []
        place.cluster.kubectl(
            "patch", "pruningjob", "digits", "-n", place.namespace, "--type=merge",
            "-p", '{"metadata":{"finalizers":null}}',
        )  # fmt: skip

    play(scenario)


def test_a_settled_pruningjob_is_not_named_until_it_is_asked_for_again(play: Play) -> None:
    async def scenario(place: Place) -> None:
        assert await place.gateway.keys() == [place.key]
        read = await place.gateway.get(place.key)
        done = PruningJobStatus(phase=Phase.SUCCEEDED, observed_generation=1, run=1)
        await place.gateway.apply_status(place.key, done, read.version)
        assert await place.gateway.keys() == []
        place.cluster.kubectl("annotate", "pruningjob", "digits", "-n", place.namespace, "secateur.dev/run=2")
        assert await place.gateway.keys() == [place.key]

    play(scenario)


def test_who_does_not_lead_writes_nothing(play: Play) -> None:
    async def scenario(place: Place) -> None:
        read = await place.gateway.get(place.key)
        place.leads = False
        place.requests.clear()
        calls: list[Awaitable[None]] = [
            place.gateway.apply_status(place.key, PruningJobStatus(message="x"), read.version),
            place.gateway.create_job(stage_job(place)),
            place.gateway.delete_job(place.key, "a-job", "u"),
            place.gateway.event(place.key, place.uid, Event("Normal", "Done", "x")),
        ]
        for call in calls:
            with pytest.raises(NotLeader):
                await call
        assert not place.requests

    play(scenario)


# ---- pods ----


def test_a_result_is_seen_as_soon_as_its_pods_have_ended(play: Play) -> None:
    async def scenario(place: Place) -> None:
        place.script = END_WELL
        await place.write_current()
        await place.gateway.create_job(stage_job(place, shards=2))
        seen = await place.until(lambda seen: seen.state is JobState.SUCCEEDED)
        assert [shard.message for shard in seen.shards] == ['{"said": "done"}'] * 2
        assert seen.tries == 1
        assert seen.trouble is None
        assert seen.finished_at is not None

    play(scenario)


def test_a_user_error_fails_at_once_and_tells_why(play: Play) -> None:
    async def scenario(place: Place) -> None:
        place.script = "print('the last words'); raise SystemExit(64)"
        await place.gateway.create_job(stage_job(place, retries=3))
        seen = await place.until(lambda seen: seen.state is JobState.FAILED)
        (shard,) = seen.shards
        assert (shard.exit_code, shard.message, shard.last_line) == (64, None, "the last words")
        pod = (shard.log or "").split()[-1]
        assert "the last words" in place.cluster.kubectl("logs", "-n", place.namespace, pod)
        assert seen.tries == 1

    play(scenario)


def test_progress_comes_from_the_log_of_a_running_pod(play: Play) -> None:
    async def scenario(place: Place) -> None:
        place.script = f"print('noise'); print('secateur-progress: {{}}'); print('more', flush=True); {SLEEP}"
        await place.write_current()
        await place.gateway.create_job(stage_job(place))
        follower = asyncio.create_task(place.gateway.follow_progress())
        seen = await place.until(lambda seen: seen.shards[0].progress is not None)
        assert seen.shards[0].progress == "{}"
        changes = place.gateway.changes()
        async with asyncio.timeout(10):
            assert await anext(changes) == place.key
        follower.cancel()

    play(scenario)


def test_a_missing_secret_is_named_and_forgotten_once_it_is_there(play: Play) -> None:
    async def scenario(place: Place) -> None:
        place.script = END_WELL
        store = Store(uri="memory://store", secret="s3-login")
        await place.gateway.create_job(stage_job(place, store=store))
        seen = await place.until(lambda seen: seen.trouble is not None, seconds=30)
        assert seen.trouble is not None
        assert seen.trouble.reason is Reason.SECRET_MISSING
        assert "'s3-login'" in seen.trouble.message
        assert "create it, or change spec.store.secret" in seen.trouble.message
        place.cluster.kubectl("create", "secret", "generic", "s3-login", "-n", place.namespace)
        seen = await place.until(lambda seen: seen.state is JobState.SUCCEEDED)
        assert seen.trouble is None

    play(scenario)


def test_pods_that_are_not_admitted_are_explained_by_the_jobs_events(play: Play) -> None:
    async def scenario(place: Place) -> None:
        place.cluster.kubectl("create", "quota", "small", "-n", place.namespace, "--hard=pods=0")
        await place.gateway.create_job(stage_job(place))
        seen = await place.until(lambda seen: seen.trouble is not None, seconds=30)
        assert seen.trouble is not None
        assert seen.trouble.reason is Reason.POD_REFUSED
        assert "exceeded quota: small" in seen.trouble.message
        assert "raise the ResourceQuota" in seen.trouble.message

    play(scenario)


def test_an_evicted_pod_is_said_and_replaced_and_counts_as_no_try(play: Play) -> None:
    async def scenario(place: Place) -> None:
        place.script = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
        await place.gateway.create_job(stage_job(place))
        await place.until(lambda seen: seen.state is JobState.RUNNING)
        (pod,) = [pod["metadata"]["name"] async for pod in place.client.items(PODS, place.namespace)]
        eviction = f'{{"apiVersion":"policy/v1","kind":"Eviction","metadata":{{"name":"{pod}"}}}}'
        path = f"/api/v1/namespaces/{place.namespace}/pods/{pod}/eviction"
        place.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=eviction)
        seen = await place.until(lambda seen: seen.trouble is not None, seconds=30)
        assert seen.trouble is not None
        assert seen.trouble.reason is Reason.EVICTED
        again = await place.until(
            lambda seen: seen.state is JobState.RUNNING and seen.trouble is None and pod not in str(seen)
        )
        assert again.tries == 1

    play(scenario)


def test_what_was_heard_of_is_read_by_name_alone(play: Play) -> None:
    async def scenario(place: Place) -> None:
        await place.gateway.create_job(stage_job(place))
        await place.until(lambda seen: seen.state is JobState.RUNNING)
        place.requests.clear()
        await place.gateway.list_jobs(place.key, place.uid, "a-job")
        assert place.requests == {("get", "jobs"): 1, ("get", "pods"): 1}

    play(scenario)


# ---- events, leases ----


def test_an_event_said_again_is_counted(play: Play) -> None:
    async def scenario(place: Place) -> None:
        said = Event("Warning", "Retrying", "a long story " * 200)
        for _ in range(3):
            await place.gateway.event(place.key, place.uid, said)
        (event,) = [event async for event in place.client.items(EVENTS, place.namespace)]
        assert event["count"] == 3
        assert (event["type"], event["reason"], event["involvedObject"]["uid"]) == (
            "Warning",
            "Retrying",
            place.uid,
        )
        assert len(event["message"].encode()) <= 1024

    play(scenario)


def test_kubectl_describe_shows_events_in_the_order_in_which_they_were_said(play: Play) -> None:
    async def scenario(place: Place) -> None:
        for number in range(15):
            await place.gateway.event(place.key, place.uid, Event("Normal", f"Said{number}", "x"))
        told = place.cluster.kubectl("describe", "pruningjob", "digits", "-n", place.namespace)
        assert re.findall(r"Said(\d+)", told) == [str(number) for number in range(15)]

    play(scenario)


def test_an_event_that_cannot_be_written_holds_nothing_up(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(place: Place) -> None:
        await place.gateway.event(place.key, place.uid, Event("Normal", "not a reason!" * 20, "x"))
        assert "was not written" in caplog.text

    play(scenario)


def test_a_lease_is_written_only_on_what_was_read(play: Play) -> None:
    async def scenario(place: Place) -> None:
        leases = Leases(place.client, place.namespace, "leader")
        assert await leases.read() is None
        at = "2026-01-01T00:00:00.000000Z"
        mine = await leases.write(Lease("me", 15, acquired_at=at, renewed_at=at))
        assert await leases.read() == mine
        with pytest.raises(Conflict):  # someone else who also saw none
            await leases.write(Lease("you", 15))
        renewed = await leases.write(replace(mine, renewed_at="2026-01-01T00:00:02.000000Z"))
        with pytest.raises(Conflict):
            await leases.write(replace(mine, holder="you"))
        left = await leases.write(replace(renewed, holder=""))
        assert (left.holder, left.acquired_at) == ("", at)
        place.cluster.kubectl("delete", "lease", "leader", "-n", place.namespace)
        assert await leases.read() is None

    play(scenario)
