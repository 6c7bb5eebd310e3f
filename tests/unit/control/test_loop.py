"""The loop over the fake cluster: how passes end, what is heard of them, and how it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from secateur_api import PruningJobStatus
from secateur_operator.domain.observed import ObservedJob
from secateur_operator.engine.loop import Result, _pass, run_forever, spread_over, work_queue
from secateur_operator.engine.queue import Schedule, WorkQueue
from secateur_operator.engine.reconciler import Reconciler
from secateur_operator.gateway.protocol import (
    Conflict,
    Key,
    NotFound,
    NotLeader,
    Refused,
    Resource,
    Transient,
)
from tests.control_plane.fake_cluster import FakeCluster
from tests.unit.control.jobs import START, all_well, document, drive


class Counts:
    def __init__(self) -> None:
        self.results: list[Result] = []
        self.waits: list[float] = []

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def passed(self, result: Result, seconds: float) -> None:
        assert seconds >= 0
        self.results.append(result)


class Faulty(FakeCluster):
    """Raises what it is told to on the next reads; then it is well, and ``done`` is set."""

    def script_reads(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.done = asyncio.Event()

    async def list_jobs(self, key: Key, uid: str, current: str | None) -> list[ObservedJob]:
        if self.errors:
            raise self.errors.pop(0)
        self.done.set()
        return await super().list_jobs(key, uid, current)

    async def changes(self) -> AsyncIterator[Key]:
        await asyncio.Event().wait()
        yield Key("", "")


def run_until_well(*errors: Exception) -> Counts:
    async def scenario() -> Counts:
        cluster, counts = Faulty(all_well, START), Counts()
        cluster.script_reads(*errors)
        cluster.apply(document())
        queue = work_queue(longest_delay=0.001, observer=counts)
        running = asyncio.create_task(
            run_forever(cluster, Reconciler(cluster, lambda: START), queue, workers=4, observer=counts)
        )
        await asyncio.wait_for(cluster.done.wait(), 5)
        queue.close()
        await asyncio.wait_for(running, 5)
        return counts

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (Conflict("changed"), Result.CONFLICT),
        (Transient("no answer"), Result.FAULT),
        (NotFound("the namespace is going"), Result.CONFLICT),
        (NotLeader("not any more"), Result.NOT_LEADER),
        (ValueError("a defect"), Result.DEFECT),
    ],
)
def test_a_pass_that_failed_is_done_again(error: Exception, result: Result) -> None:
    counts = run_until_well(error)
    assert counts.results == [result, Result.DONE]
    assert len(counts.waits) == 2


@pytest.mark.parametrize("error", [Conflict("changed"), NotFound("the namespace is going")])
def test_what_others_do_meanwhile_is_no_warning(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run_until_well(error, error)
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


def test_a_fault_is_one_warning_that_names_the_job(caplog: pytest.LogCaptureFixture) -> None:
    run_until_well(Transient("no answer"))
    [record] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.getMessage().startswith("no answer; again in ")
    assert record.__dict__["reference"] == {"namespace": "default", "name": "digits"}


def test_closing_the_queue_finishes_the_pass_at_work() -> None:
    async def scenario() -> tuple[bool, list[Result]]:
        entered, leave = asyncio.Event(), asyncio.Event()

        class Slow(Faulty):
            async def get(self, key: Key) -> Resource:
                entered.set()
                await leave.wait()
                return await super().get(key)

        cluster, counts = Slow(all_well, START), Counts()
        cluster.script_reads()
        key = cluster.apply(document())
        queue = work_queue(observer=counts)
        reconciler = Reconciler(cluster, lambda: START)
        running = asyncio.create_task(run_forever(cluster, reconciler, queue, workers=2, observer=counts))
        await entered.wait()
        queue.close()
        await asyncio.sleep(0)
        still = not running.done()
        leave.set()
        await asyncio.wait_for(running, 5)
        assert cluster.status(key).stage is not None
        return still, counts.results

    assert asyncio.run(scenario()) == (True, [Result.DONE])


def test_a_resync_is_spread_over_its_time() -> None:
    keys = [Key("ns", f"job-{number}") for number in range(4)]
    assert [after for _, after in spread_over(keys, 300.0)] == [0.0, 75.0, 150.0, 225.0]
    assert [key for key, _ in spread_over(keys, 300.0)] == keys
    nothing: list[Any] = spread_over([], 300.0)
    assert nothing == []


class WithoutRight(FakeCluster):
    """Refuses each write of a status."""

    asked = 0

    async def apply_status(self, key: Key, status: PruningJobStatus, version: str) -> None:
        self.asked += 1
        raise Refused("cannot patch pruningjobs/status", "give it this right")


def test_a_status_that_may_not_be_written_is_tried_every_20_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """Once a pass, however often: a back-off would go on for minutes after the right is back."""
    times = [0.0]
    cluster = WithoutRight(all_well, START)
    key = cluster.apply(document())
    queue = WorkQueue(Schedule[Key](lambda: 0.5), lambda: times[0])
    reconciler = Reconciler(cluster, lambda: START)
    for count in range(1, 9):
        queue.add(key)
        assert asyncio.run(queue.get()) == key
        assert asyncio.run(_pass(reconciler, queue, key)) is Result.FAULT
        assert cluster.asked == count
        times[0] += 19.9
        assert queue.backlog().depth == 0
        times[0] += 0.2
        assert queue.backlog().depth == 1
    assert cluster.created == []
    words = "cannot patch pruningjobs/status; give it this right; again in 20 s"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [words] * 8


def test_lines_are_of_the_stage_that_they_speak_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    cluster = FakeCluster(all_well, START)
    drive(cluster, cluster.apply(document()))
    said = {record.getMessage(): record.__dict__["reference"].get("stage") for record in caplog.records}
    done = {text: stage for text, stage in said.items() if " done in " in text or text.endswith(" starts")}
    assert len(done) > 6
    for text, stage in done.items():
        assert text.split()[1] == (stage or "run"), text


def test_a_warning_is_logged_as_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    cluster = FakeCluster(all_well, START)
    wrong = document()
    wrong["spec"]["prunning"] = wrong["spec"].pop("pruning")
    drive(cluster, cluster.apply(wrong))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
