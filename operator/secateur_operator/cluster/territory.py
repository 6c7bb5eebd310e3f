"""One operator a namespace: of two releases that would serve the same one, the second leaves it alone.

Each keeps a Lease in every namespace that it works in, by the name of its release, so that its replicas and
its next start share it. A release without a selector serves every PruningJob there, so one with a selector
looks at that one's Lease as well. No clock is compared with another's: see
:mod:`secateur_operator.cluster.election`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable

from secateur_operator.cluster.election import Candidate, Timing
from secateur_operator.cluster.leadership import LeaseStore, lease_stamp, steady_seconds
from secateur_operator.gateway.protocol import Elsewhere, GatewayError

log = logging.getLogger(__name__)

TIMING = Timing(duration=600.0, deadline=400.0, retry=200.0)
"""Renewed by the passes of a namespace, of which there is one every five minutes at least."""


def lease_name(selector: str) -> str:
    """Return the name of the Leases: operators of other selectors do not meet."""
    digest = hashlib.sha256(selector.encode()).hexdigest()[:8]
    return f"secateur-serves-{digest}" if selector else "secateur-serves"


class Territory:
    """Which namespaces this release serves."""

    def __init__(
        self,
        leases: Callable[[str], LeaseStore],
        release: str,
        clock: Callable[[], float] = steady_seconds,
        unselected: Callable[[str], LeaseStore] | None = None,
    ) -> None:
        """``leases`` gives the Lease of a namespace; ``release`` is the same for all replicas, always.

        ``unselected`` gives the Lease of a release that serves all of a namespace; None: this is such a one.
        """
        self._leases = leases
        self._unselected = unselected
        self._release = release
        self._clock = clock
        self._candidates: dict[str, Candidate] = {}
        self._lookers: dict[str, Candidate] = defaultdict(lambda: Candidate(release, TIMING))
        self._renewed: dict[str, float] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._said: set[str] = set()

    async def hold(self, namespace: str) -> None:
        """Take or keep the namespace; raises Elsewhere where another release serves it.

        Where the Lease cannot be read or written the work goes on: that says nothing of another operator.
        """
        async with self._locks[namespace]:
            if self._clock() - self._renewed.get(namespace, float("-inf")) < TIMING.retry:
                return
            try:
                other = await self._other(namespace)
            except GatewayError as error:
                self._say(f"whether another operator serves namespace {namespace} is not known: {error}")
                return
            if other:
                words = f"namespace {namespace} is served by another operator ({other})"
                self._say(f"{words}; this one leaves it alone: give each its own namespaces or selector")
                raise Elsewhere(words)
            self._renewed[namespace] = self._clock()

    async def release(self) -> None:
        """Give every namespace back, so that another release may follow at once."""
        for namespace, candidate in self._candidates.items():
            farewell = candidate.farewell(self._clock() + TIMING.deadline, lease_stamp())
            if farewell is not None:
                try:
                    await self._leases(namespace).write(farewell)
                except GatewayError as error:
                    log.debug("the lease of namespace %s runs out by itself: %s", namespace, error)

    async def _other(self, namespace: str) -> str:
        """Take or keep the namespace, or name the release that serves it."""
        if self._unselected is not None:
            looker = self._lookers[namespace]
            looker.read(await self._unselected(namespace).read(), self._clock())
            if looker.proposal(self._clock(), lease_stamp()) is None:
                return looker.holder
        candidate = await self._claim(namespace)
        return "" if candidate.holds else candidate.holder

    async def _claim(self, namespace: str) -> Candidate:
        leases, lease = self._leases(namespace), await self._leases(namespace).read()
        known = self._candidates.get(namespace)
        if known is not None:
            known.read(lease, self._clock())
        proposal = known.proposal(self._clock(), lease_stamp()) if known is not None else None
        if known is None or known.lost is not None:  # a candidate that has lost is one for ever
            known = self._candidates[namespace] = Candidate(self._release, TIMING)
            known.read(lease, self._clock())
            proposal = known.proposal(self._clock(), lease_stamp())
        if proposal is not None:
            sent = self._clock()
            known.wrote(await leases.write(proposal), sent, self._clock())
        return known

    def _say(self, words: str) -> None:
        if words not in self._said:  # once, not at every pass
            self._said.add(words)
            log.warning(words)
