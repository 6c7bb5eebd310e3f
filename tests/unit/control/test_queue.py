"""The work queue, with a clock that the test turns."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur_operator.engine.queue import Backlog, Schedule, WorkQueue


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


class Plain:
    """The schedule's laws in their simplest form: look at every key each time."""

    def __init__(self) -> None:
        self.due: dict[str, float] = {}
        self.running: set[str] = set()

    def ready(self, now: float) -> dict[str, float]:
        return {key: at for key, at in self.due.items() if at <= now and key not in self.running}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "take", "done", "failed"]),
            st.sampled_from("abcde"),
            st.integers(0, 5),
        ),
        max_size=200,
    )
)
def test_it_behaves_as_a_plain_list_does(steps: list[tuple[str, str, int]]) -> None:
    queue, plain, now = schedule(), Plain(), 0.0
    for step, key, number in steps:
        if step == "add":
            queue.add(key, now + number)
            plain.due[key] = min(now + number, plain.due.get(key, float("inf")))
        elif step == "take":
            now += number
            ready = plain.ready(now)
            taken = queue.take(now)
            assert (taken in ready and ready[taken] == min(ready.values())) if ready else taken is None
            if taken is not None:
                del plain.due[taken]
                plain.running.add(taken)
        elif key in plain.running:
            plain.running.discard(key)
            if step == "done":
                queue.done(key)
            else:
                again = now + queue.failed(key, now)
                plain.due[key] = min(again, plain.due.get(key, again))
        waiting = {key: at for key, at in plain.due.items() if key not in plain.running}
        assert queue.next_due() == min(waiting.values(), default=None)
        assert sorted(queue.overdue(now)) == sorted(plain.ready(now).values())
        assert len(queue) == len(plain.due.keys() | plain.running)


def test_a_busy_key_leaves_nothing_behind() -> None:
    queue = schedule()
    for turn in range(10_000):
        queue.add("a", turn)
        assert queue.take(turn) == "a"
        queue.add("a", turn + 300.0)
        queue.done("a")
    assert len(queue._heap) < 200


def test_a_back_off_is_no_shorter_than_the_other_side_asks() -> None:
    queue = schedule()
    queue.add("a", 0.0)
    queue.take(0.0)
    assert queue.failed("a", 0.0, at_least=30.0) == 30.0
    assert queue.next_due() == 30.0


def test_each_change_wakes_one_of_many_workers() -> None:
    async def scenario() -> tuple[list[str], int]:
        asked = 0

        def clock() -> float:
            nonlocal asked
            asked += 1
            return 0.0

        queue: WorkQueue[str] = WorkQueue(schedule(), clock)
        taken: list[str] = []

        async def work() -> None:
            while (key := await queue.get()) is not None:
                taken.append(key)
                queue.done(key)

        workers = [asyncio.create_task(work()) for _ in range(50)]
        await asyncio.sleep(0)
        for number in range(100):
            queue.add(f"key {number}")
            while len(taken) <= number:
                await asyncio.sleep(0)
        queue.close()
        await asyncio.gather(*workers)
        return taken, asked

    taken, asked = asyncio.run(scenario())
    assert taken == [f"key {number}" for number in range(100)]
    assert asked < 600  # fifty workers that all looked each time would ask 5,000 times


def test_a_closed_queue_gives_out_no_more_keys() -> None:
    async def scenario() -> list[str | None]:
        queue: WorkQueue[str] = WorkQueue(schedule(), lambda: 0.0)
        waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.close()
        queue.add("late")
        return list(await asyncio.gather(*waiting, queue.get()))

    assert asyncio.run(scenario()) == [None] * 4


def test_the_queue_says_how_long_keys_waited_and_what_waits() -> None:
    async def scenario() -> None:
        now, waits = 10.0, []
        queue: WorkQueue[str] = WorkQueue(schedule(), lambda: now, waits.append)
        queue.add("a")
        queue.add("b", after=1.0)
        queue.add("c", after=60.0)
        now = 15.0
        assert queue.backlog() == Backlog(depth=2, oldest_seconds=5.0)
        await queue.get()
        await queue.get()
        assert waits == [5.0, 4.0]
        assert queue.backlog() == Backlog(depth=0, oldest_seconds=0.0)

    asyncio.run(scenario())
