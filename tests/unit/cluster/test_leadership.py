"""Holding the lease against a store that fails as an API server does, in time that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from secateur_operator.cluster.leadership import Leadership, LeadershipLost
from secateur_operator.gateway.kube.lease import Lease
from secateur_operator.gateway.protocol import Conflict, NotFound, Transient

OTHER = Lease("other", 15, version="7")


@dataclass
class World:
    """A lease, a clock that only sleeping turns, and what happens while somebody sleeps."""

    lease: Lease | None = None
    now: float = 1000.0
    fails: Callable[[float], bool] = lambda _now: False
    at: dict[float, Callable[[World], object]] = field(default_factory=dict)
    """Seconds from the start -> what happens then."""
    took: float = 0.0
    """How long each request takes."""

    async def read(self) -> Lease | None:
        self._request()
        return self.lease

    async def write(self, lease: Lease) -> Lease:
        self._request()
        there = self.lease.version if self.lease else None
        if there != lease.version:
            raise Conflict("another version")
        self.lease = replace(lease, version=str(int(there or 0) + 1))
        return self.lease

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        for due in sorted(one for one in self.at if one <= self.now - 1000.0):
            self.at.pop(due)(self)
        await asyncio.sleep(0)

    def leadership(self) -> Leadership:
        return Leadership(self, "me", clock=lambda: self.now, sleep=self.sleep)

    def _request(self) -> None:
        self.now += self.took
        if self.fails(self.now - 1000.0):
            raise Transient("no answer in time")


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


async def led_until(world: World) -> tuple[float, str, Leadership]:
    """Win, keep, and return after how many seconds it was lost, and why."""
    leadership = world.leadership()
    await leadership.win(asyncio.Event())
    with pytest.raises(LeadershipLost) as lost:
        await leadership.keep()
    return world.now - 1000.0, str(lost.value), leadership


def test_a_free_lease_is_won_and_renewed() -> None:
    async def scenario() -> None:
        world = World(Lease("", 1, version="1"), at={100.0: lambda it: setattr(it, "lease", OTHER)})
        seconds, why, leadership = await led_until(world)
        assert 100.0 <= seconds <= 102.0
        assert why == "the lease is other's now"
        assert not leadership.may_write()

    run(scenario())


def test_a_standby_says_once_who_leads_and_takes_over_in_time(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        caplog.set_level("INFO")
        world, heard = World(OTHER), asyncio.Event()
        leadership = world.leadership()
        await leadership.win(heard)
        assert heard.is_set()
        assert leadership.may_write()
        assert 15.0 <= world.now - 1000.0 < 20.0
        assert [record.getMessage() for record in caplog.records] == ["standing by; other leads"]

    run(scenario())


def test_time_outs_are_borne_until_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        world = World(Lease("", 1, version="1"), fails=lambda now: 50.0 < now < 57.0 or now > 100.0)
        seconds, why, _ = await led_until(world)
        assert 108.0 <= seconds <= 112.0
        assert why.startswith("the lease was not renewed for 1")
        assert [record.getMessage() for record in caplog.records] == [
            "the lease could not be written: no answer in time"
        ] * 2  # once for each time that it lasted

    run(scenario())


def test_the_fence_counts_from_before_a_slow_renewal_was_sent() -> None:
    async def scenario() -> None:
        world = World(Lease("", 1, version="1"))
        leadership = world.leadership()
        world.took = 4.0
        await leadership.win(asyncio.Event())
        written = world.now - 4.0
        world.now = written + 9.9
        assert leadership.may_write()
        world.now = written + 10.0
        assert not leadership.may_write()

    run(scenario())


def test_a_paused_process_gives_up_when_it_wakes() -> None:
    async def scenario() -> None:
        world = World(Lease("", 1, version="1"))
        world.at = {20.0: lambda it: setattr(it, "now", it.now + 60.0)}
        seconds, why, leadership = await led_until(world)
        assert 80.0 <= seconds <= 83.0
        assert why.startswith("the lease was not renewed for 6")
        assert not leadership.may_write()
        assert world.lease is not None
        assert world.lease.holder == "me"  # it wrote nothing more

    run(scenario())


def test_a_deleted_lease_is_lost() -> None:
    async def scenario() -> None:
        world = World(Lease("", 1, version="1"), at={30.0: lambda it: setattr(it, "lease", None)})
        _, why, _ = await led_until(world)
        assert why == "the lease was deleted"
        assert world.lease is None

    run(scenario())


def test_a_new_lease_is_led_after_the_deadline() -> None:
    async def scenario() -> None:
        world = World()
        leadership = world.leadership()
        await leadership.win(asyncio.Event())
        assert leadership.holds
        assert not leadership.may_write()
        await leadership.begin()
        assert world.now - 1000.0 == 10.0

    run(scenario())


def test_resigning_frees_the_lease_for_the_next() -> None:
    async def scenario() -> None:
        world = World(Lease("", 1, version="1"))
        first = world.leadership()
        await first.win(asyncio.Event())
        await first.resign()
        assert not first.may_write()
        second, before = world.leadership(), world.now
        await second.win(asyncio.Event())
        assert second.may_write()
        assert world.now == before

    run(scenario())


def test_resigning_waits_for_a_renewal_that_is_under_way() -> None:
    async def scenario() -> None:
        world = World(Lease("", 1, version="1"))
        leadership = world.leadership()
        await leadership.win(asyncio.Event())
        sent, go_on = asyncio.Event(), asyncio.Event()
        write = world.write

        async def slow(lease: Lease) -> Lease:
            sent.set()
            await go_on.wait()
            return await write(lease)

        world.write = slow  # type: ignore[method-assign]
        keeping = asyncio.create_task(leadership.keep())
        await sent.wait()
        resigning = asyncio.create_task(leadership.resign())
        await asyncio.sleep(0)
        go_on.set()
        await resigning
        with pytest.raises(LeadershipLost, match="it stepped down"):
            await keeping
        assert world.lease is not None
        assert world.lease.holder == ""

    run(scenario())


def test_a_namespace_that_is_not_there_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        class Nowhere(World):
            async def write(self, lease: Lease) -> Lease:
                raise NotFound('cannot create leases: namespaces "nowhere" not found')

        world = Nowhere()
        winning = asyncio.create_task(world.leadership().win(asyncio.Event()))
        for _ in range(20):
            await asyncio.sleep(0)
        winning.cancel()
        [record] = caplog.records
        assert 'namespaces "nowhere" not found' in record.getMessage()

    run(scenario())
