"""The work queue, with a clock that the test turns."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur_operator.engine.queue import Schedule, WorkQueue


def schedule(random: float = 0.5) -> Schedule[str]:
    return Schedule(lambda: random, first_delay=1.0, longest_delay=60.0)


def test_a_key_is_there_once_at_its_earliest_time() -> None:
    queue = schedule()
    queue.add("a", 10.0)
    queue.add("a", 5.0)
    queue.add("a", 20.0)
    assert queue.take(4.9) is None
    assert queue.next_due() == 5.0
    assert queue.take(5.0) == "a"
    queue.done("a")
    assert queue.take(100.0) is None
    assert len(queue) == 0


@pytest.mark.parametrize("turns", range(5))
def test_a_worker_can_be_cancelled_at_the_moment_that_a_key_arrives(turns: int) -> None:
    async def scenario() -> None:
        queue: WorkQueue[str] = WorkQueue(schedule(), asyncio.get_running_loop().time)
        queue.add("later", 3600.0)

        async def work() -> None:
            while True:
                queue.done(await queue.get())

        worker = asyncio.create_task(work())
        for _ in range(5):
            await asyncio.sleep(0)
        queue.add("now")
        for _ in range(turns):
            await asyncio.sleep(0)
        worker.cancel()
        await asyncio.wait({worker}, timeout=1.0)
        assert worker.cancelled()

    asyncio.run(scenario())


def test_a_running_key_is_not_given_out_again_before_it_is_done() -> None:
    queue = schedule()
    queue.add("a", 0.0)
    assert queue.take(0.0) == "a"
    queue.add("a", 0.0)
    assert (queue.take(1.0), queue.next_due()) == (None, None)
    queue.done("a")
    assert queue.take(1.0) == "a"


def test_the_longest_due_comes_first() -> None:
    queue = schedule()
    queue.add("late", 2.0)
    queue.add("early", 1.0)
    assert [queue.take(3.0), queue.take(3.0)] == ["early", "late"]


def test_back_off_doubles_up_to_its_limit_and_starts_over_after_success() -> None:
    queue = schedule()
    waits = []
    for _ in range(8):
        queue.add("a", 0.0)
        assert queue.take(1e9) == "a"
        waits.append(queue.failed("a", 0.0))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    queue.take(1e9)
    queue.done("a")
    assert queue.failed("a", 0.0) == 1


@pytest.mark.parametrize(("random", "wait"), [(0.0, 0.5), (1.0, 1.5)])
def test_jitter_spreads_by_half(random: float, wait: float) -> None:
    assert schedule(random).failed("a", 0.0) == wait


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 10)), max_size=30))
def test_no_key_is_lost_and_none_runs_twice_at_once(adds: list[tuple[str, float]]) -> None:
    queue = schedule()
    for key, at in adds:
        queue.add(key, at)
    taken = []
    while (key := queue.take(10.0)) is not None:
        taken.append(key)
    assert sorted(taken) == sorted({key for key, _ in adds})


def test_a_worker_waits_until_something_is_due() -> None:
    async def scenario() -> str:
        now = 0.0
        queue: WorkQueue[str] = WorkQueue(schedule(), lambda: now)
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("later", after=50.0)
        await asyncio.sleep(0)
        assert not waiting.done()
        now = 50.0
        queue.add("later")
        return await waiting

    assert asyncio.run(scenario()) == "later"
