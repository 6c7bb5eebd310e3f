"""Holding the Lease: reads, writes and waits as :mod:`secateur_operator.cluster.election` says."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from secateur_operator.cluster.election import USUAL, Candidate, Timing
from secateur_operator.domain.times import stamp
from secateur_operator.gateway.kube.lease import Lease
from secateur_operator.gateway.protocol import Conflict, GatewayError

log = logging.getLogger(__name__)

_FAREWELL_SECONDS = 2.0


class LeaseStore(Protocol):
    """Where the Lease is."""

    async def read(self) -> Lease | None:
        """Return it; None if there is none. Raises GatewayError."""
        ...

    async def write(self, lease: Lease) -> Lease:
        """Create or replace it; raises Conflict if it is another one now or gone, GatewayError."""
        ...


class LeadershipLost(Exception):
    """This process led and does not any more; the message says why."""


class Place(Protocol):
    """A process's part in who leads."""

    @property
    def holds(self) -> bool:
        """Whether the place is this process's, though it may not lead yet."""
        ...

    def may_write(self) -> bool:
        """Whether this process leads at this moment: the fence that each write passes."""
        ...

    async def win(self, heard: asyncio.Event) -> None:
        """Wait for the place; ``heard`` is set once the API server has answered."""
        ...

    async def begin(self) -> None:
        """Wait until the holder may lead."""
        ...

    async def keep(self) -> None:
        """Keep the place; raises LeadershipLost."""
        ...

    async def resign(self) -> None:
        """Give it up."""
        ...


class Sole:
    """The place of an operator that was told that it is alone."""

    holds = True

    def may_write(self) -> bool:
        return True

    async def win(self, heard: asyncio.Event) -> None:
        return None

    async def begin(self) -> None:
        return None

    async def keep(self) -> None:
        await asyncio.Event().wait()

    async def resign(self) -> None:
        return None


class Leadership:
    """The place that goes with a Lease."""

    def __init__(
        self,
        leases: LeaseStore,
        identity: str,
        timing: Timing = USUAL,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``identity`` is of this process alone; ``clock`` (``steady_seconds``) never goes back."""
        self._leases = leases
        self._timing = timing
        self._clock = clock or steady_seconds
        self._sleep = sleep
        self._candidate = Candidate(identity, timing)
        self._writing = asyncio.Lock()
        self._said: dict[str, str] = {}

    @property
    def holds(self) -> bool:
        return self._candidate.holds

    def may_write(self) -> bool:
        return self._candidate.may_write(self._clock())

    async def win(self, heard: asyncio.Event) -> None:
        told = ""
        while not self._candidate.holds:
            await self._look(heard)
            proposal = self._candidate.proposal(self._clock(), lease_stamp())
            if proposal is not None:
                await self._write(proposal)
            if self._candidate.holds:
                return
            if self._candidate.holder != told:
                told = self._candidate.holder
                log.info("standing by; %s leads", told)
            await self._sleep(self._timing.retry * random.uniform(0.8, 1.2))

    async def begin(self) -> None:
        wait = self._candidate.leads_from - self._clock()
        if wait > 0:
            log.info("the lease is new; leading in %.0f s, lest an earlier leader still writes", wait)
            await self._sleep(wait)

    async def keep(self) -> None:
        while self._candidate.lost is None:
            await self._sleep(self._timing.retry)
            proposal = self._candidate.proposal(self._clock(), lease_stamp())
            if proposal is not None:
                await self._write(proposal)
        raise LeadershipLost(self._candidate.lost)

    async def resign(self) -> None:
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS), self._writing:
                farewell = self._candidate.farewell(self._clock(), lease_stamp())
                if farewell is not None:
                    await self._leases.write(farewell)
        except (GatewayError, TimeoutError) as error:
            log.warning("the lease could not be released; it runs out by itself: %s", error)

    async def _look(self, heard: asyncio.Event | None = None) -> None:
        try:
            lease = await self._leases.read()
        except GatewayError as error:
            self._complain("read", error)
            return
        self._said.pop("read", None)
        if heard is not None:
            heard.set()
        self._candidate.read(lease, self._clock())

    async def _write(self, lease: Lease) -> None:
        async with (
            self._writing
        ):  # a farewell waits for a renewal: of two writes at a time one would be refused
            sent = self._clock()
            try:
                written = await self._leases.write(lease)
            except Conflict:
                await self._look()
            except GatewayError as error:
                self._complain("written", error)
            else:
                self._said.pop("written", None)
                self._candidate.wrote(written, sent, self._clock())

    def _complain(self, what: str, error: GatewayError) -> None:
        """Note a fault; it is said once for as long as it lasts."""
        self._candidate.failed(self._clock())
        if str(error) != self._said.get(what):
            self._said[what] = str(error)
            log.warning("the lease could not be %s: %s", what, error)


def steady_seconds() -> float:
    """Return seconds of a clock that never goes back, and that goes on while the machine sleeps if it can."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def lease_stamp() -> str:
    """Return now as a lease writes it: with microseconds."""
    return stamp(datetime.now(UTC), "microseconds")
