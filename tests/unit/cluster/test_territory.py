"""Two releases on the same namespaces: one acts, the other says who does and takes over when it may."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace

import pytest

from secateur_operator.cluster.territory import TIMING, Territory, lease_name
from secateur_operator.gateway.kube.lease import Lease
from secateur_operator.gateway.protocol import Conflict, Elsewhere, Refused


@dataclass
class World:
    """Leases by namespace, and the time."""

    leases: dict[str, Lease] = field(default_factory=dict)
    now: float = 1000.0
    refuses: bool = False
    writes: int = 0

    def territory(self, release: str, selector: str = "") -> Territory:
        return Territory(
            lambda namespace: Stored(self, namespace + selector),
            release,
            lambda: self.now,
            (lambda namespace: Stored(self, namespace)) if selector else None,
        )


@dataclass
class Stored:
    world: World
    namespace: str

    async def read(self) -> Lease | None:
        if self.world.refuses:
            raise Refused("leases: forbidden")
        return self.world.leases.get(self.namespace)

    async def write(self, lease: Lease) -> Lease:
        there = self.world.leases.get(self.namespace)
        if (there.version if there else None) != lease.version:
            raise Conflict("another version")
        self.world.writes += 1
        self.world.leases[self.namespace] = replace(lease, version=str(self.world.writes))
        return self.world.leases[self.namespace]


@pytest.fixture
def world() -> World:
    return World()


def test_the_second_leaves_it_alone_and_says_whose_it_is(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = world.territory("ops/one"), world.territory("ops/two")

    async def both() -> None:
        await first.hold("team")
        for _ in range(3):
            with pytest.raises(Elsewhere, match=r"namespace team is served by another operator \(ops/one\)"):
                await second.hold("team")
        await second.hold("free")

    with caplog.at_level(logging.WARNING):
        asyncio.run(both())
    assert len([line for line in caplog.messages if "ops/one" in line]) == 1, "it is said once"
    assert world.leases["free"].holder == "ops/two"


def test_replicas_and_the_next_start_of_one_release_share_it(world: World) -> None:
    async def in_turn() -> None:
        await world.territory("ops/one").hold("team")
        await world.territory("ops/one").hold("team")

    asyncio.run(in_turn())


def test_it_is_renewed_seldom_and_kept_over_long_silence(world: World) -> None:
    one = world.territory("ops/one")

    async def a_day() -> None:
        for _ in range(10):
            await one.hold("team")
        assert world.writes == 1
        world.now += TIMING.retry
        await one.hold("team")
        assert world.writes == 2
        world.now += 5 * TIMING.duration
        await one.hold("team")

    asyncio.run(a_day())
    assert world.leases["team"].holder == "ops/one"


def test_a_release_that_died_is_followed_after_its_time(world: World) -> None:
    first, second = world.territory("ops/one"), world.territory("ops/two")

    async def course() -> None:
        await first.hold("team")
        with pytest.raises(Elsewhere):
            await second.hold("team")
        world.now += TIMING.duration - 1
        with pytest.raises(Elsewhere):
            await second.hold("team")
        world.now += 1
        await second.hold("team")
        with pytest.raises(Elsewhere):
            await first.hold("team")  # it was only slow: now it is the second

    asyncio.run(course())


def test_one_that_steps_down_is_followed_at_once(world: World) -> None:
    first, second = world.territory("ops/one"), world.territory("ops/two")

    async def course() -> None:
        await first.hold("team")
        await first.release()
        await second.hold("team")

    asyncio.run(course())
    assert world.leases["team"].holder == "ops/two"


def test_without_the_right_to_leases_work_goes_on(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.refuses = True
    with caplog.at_level(logging.WARNING):
        asyncio.run(world.territory("ops/one").hold("team"))
    assert "whether another operator serves namespace team is not known" in caplog.text


def test_one_with_a_selector_leaves_a_namespace_alone_that_one_without_serves(world: World) -> None:
    whole, part = world.territory("ops/whole"), world.territory("ops/part", "team=a")

    async def course() -> None:
        await part.hold("team")
        await whole.hold("team")  # it came later: the other one notices when it next renews
        world.now += TIMING.retry
        with pytest.raises(Elsewhere, match=r"another operator \(ops/whole\)"):
            await part.hold("team")
        await whole.release()
        await part.hold("team")

    asyncio.run(course())


def test_one_that_is_given_a_selector_does_not_meet_itself(world: World) -> None:
    async def course() -> None:
        await world.territory("ops/one").hold("team")
        await world.territory("ops/one", "team=a").hold("team")

    asyncio.run(course())


def test_operators_of_other_selectors_do_not_meet() -> None:
    assert len({lease_name(""), lease_name("team=a"), lease_name("team=b")}) == 3
