"""The probes, asked over HTTP."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from secateur_operator.cluster.operator import Probes
from tests.control_plane.processes import free_ports


def answers(wrong: str | None) -> list[tuple[int, str]]:
    async def scenario() -> list[tuple[int, str]]:
        (port,) = free_ports(1)
        probes = Probes(port, lambda: wrong, lambda: None)
        await probes.start()
        try:
            found = []
            async with aiohttp.ClientSession() as session:
                for path in ("/livez", "/readyz", "/elsewhere"):
                    async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                        found.append((answer.status, (await answer.text()).strip()))
            return found
        finally:
            await probes.stop()

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("wrong", "live"),
    [(None, (200, "ok")), ("pods are not watched any more", (500, "pods are not watched any more"))],
)
def test_each_probe_says_what_is_wrong(wrong: str | None, live: tuple[int, str]) -> None:
    assert answers(wrong)[:2] == [live, (200, "ok")]
    assert answers(wrong)[2][0] == 404


def test_a_port_that_is_taken_is_an_error() -> None:
    async def scenario() -> None:
        (port,) = free_ports(1)
        first, second = (Probes(port, lambda: None, lambda: None) for _ in range(2))
        await first.start()
        try:
            with pytest.raises(OSError, match="in use"):
                await second.start()
        finally:
            await first.stop()
            await second.stop()

    asyncio.run(scenario())
