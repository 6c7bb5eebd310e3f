"""What every gateway promises, on the in-memory cluster and on the local one with real processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from secateur_api import PruningJobStatus, Stage, StageInput, parse_job
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.local.gateway import LocalGateway
from secateur_operator.gateway.local.home import Home, Resources
from secateur_operator.gateway.protocol import AlreadyExists, Conflict, Gateway, Key, NotFound
from tests.control_plane.fake_cluster import FakeCluster
from tests.unit.control.jobs import START, all_well, document, job

KEY = Key("default", "digits")


@asynccontextmanager
async def fake(_folder: Path) -> AsyncIterator[Gateway]:
    cluster = FakeCluster(all_well, START)
    cluster.apply(document())
    yield cluster


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[Gateway]:
    home = Home(folder)
    Resources(home).apply(parse_job(document()))
    gateway = LocalGateway(home, KEY, command=("sh", "-c", "sleep 60"), grace=0.0)
    await gateway.open()
    yield gateway
    await gateway.close()
    home.close()


Opened = Callable[[Path], object]
both = pytest.mark.parametrize("opened", [fake, local])


def stage_job(uid: str, seed: int = 0) -> StageJob:
    spec = job(seed=seed).spec
    stage_input = StageInput(job="digits", stage=Stage.PRETRAIN, spec=spec, store="memory://")
    return StageJob("a-job", "digits", "default", uid, 1, None, 1, stage_input, spec, 3600.0)


def play(opened, folder: Path, scenario) -> None:
    async def inside() -> None:
        async with opened(folder) as gateway:
            uid = (await gateway.get(KEY)).document["metadata"]["uid"]
            await scenario(gateway, uid)

    asyncio.run(inside())


@both
def test_a_job_is_created_once(opened: Opened, tmp_path: Path) -> None:
    async def scenario(gateway: Gateway, uid: str) -> None:
        await gateway.create_job(stage_job(uid))
        await gateway.create_job(stage_job(uid))
        assert [one.name for one in await gateway.list_jobs(KEY, uid, "a-job")] == ["a-job"]

    play(opened, tmp_path, scenario)


@both
def test_a_name_taken_by_something_else_is_a_visible_conflict(opened: Opened, tmp_path: Path) -> None:
    async def scenario(gateway: Gateway, uid: str) -> None:
        await gateway.create_job(stage_job(uid))
        for other in (stage_job(uid, seed=1), replace(stage_job(uid), owner_uid="another")):
            with pytest.raises(AlreadyExists):
                await gateway.create_job(other)

    play(opened, tmp_path, scenario)


@both
def test_deletes_carry_a_precondition(opened: Opened, tmp_path: Path) -> None:
    async def scenario(gateway: Gateway, uid: str) -> None:
        await gateway.create_job(stage_job(uid))
        (seen,) = await gateway.list_jobs(KEY, uid, "a-job")
        with pytest.raises(Conflict):
            await gateway.delete_job(KEY, seen.name, "an older uid")
        await gateway.delete_job(KEY, seen.name, seen.uid)
        assert await gateway.list_jobs(KEY, uid, "a-job") == []
        with pytest.raises(NotFound):
            await gateway.delete_job(KEY, seen.name, seen.uid)

    play(opened, tmp_path, scenario)


@both
def test_a_status_is_written_only_on_what_was_read(opened: Opened, tmp_path: Path) -> None:
    async def scenario(gateway: Gateway, uid: str) -> None:
        read = await gateway.get(KEY)
        await gateway.apply_status(KEY, PruningJobStatus(message="first"), read.version)
        with pytest.raises(Conflict):
            await gateway.apply_status(KEY, PruningJobStatus(message="second"), read.version)
        again = await gateway.get(KEY)
        assert again.document["status"]["message"] == "first"
        await gateway.apply_status(KEY, PruningJobStatus(message="first"), again.version)
        assert (await gateway.get(KEY)).version == again.version  # no change, no new version

    play(opened, tmp_path, scenario)


@both
def test_what_is_not_there_is_not_found(opened: Opened, tmp_path: Path) -> None:
    async def scenario(gateway: Gateway, uid: str) -> None:
        with pytest.raises(NotFound):
            await gateway.get(Key("default", "nobody"))

    play(opened, tmp_path, scenario)


@both
def test_a_new_job_is_heard_of(opened: Opened, tmp_path: Path) -> None:
    async def scenario(gateway: Gateway, uid: str) -> None:
        await gateway.create_job(stage_job(uid))
        assert await anext(gateway.changes()) == KEY

    play(opened, tmp_path, scenario)


def test_a_program_that_cannot_be_started_is_a_failure_worth_another_try(tmp_path: Path) -> None:
    async def scenario() -> None:
        home = Home(tmp_path)
        Resources(home).apply(parse_job(document()))
        gateway = LocalGateway(home, KEY, command=("/no/such/program",))
        uid = (await gateway.get(KEY)).document["metadata"]["uid"]
        await gateway.create_job(stage_job(uid))
        async with asyncio.timeout(10):
            while (seen := (await gateway.list_jobs(KEY, uid, "a-job"))[0]).state.is_active:
                await asyncio.sleep(0.01)
        assert seen.shards[0].exit_code == 75
        assert "cannot be started: No such file" in (seen.shards[0].message or "")
        home.close()

    asyncio.run(scenario())


def test_no_more_processes_run_at_once_than_allowed(tmp_path: Path) -> None:
    async def scenario() -> None:
        home = Home(tmp_path)
        Resources(home).apply(parse_job(document()))
        gateway = LocalGateway(home, KEY, limit=2, command=("sh", "-c", "sleep 60"), grace=0.0)
        uid = (await gateway.get(KEY)).document["metadata"]["uid"]
        wanted = stage_job(uid)
        await gateway.create_job(replace(wanted, input=wanted.input.model_copy(update={"shards": 5})))
        async with asyncio.timeout(10):
            while True:
                states = [shard.state for shard in (await gateway.list_jobs(KEY, uid, "a-job"))[0].shards]
                if states.count("running") == 2:
                    break
                await asyncio.sleep(0.01)
        assert states.count("pending") == 3
        await gateway.close()
        home.close()

    asyncio.run(scenario())
