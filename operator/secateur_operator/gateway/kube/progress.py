"""Live progress: the ends of running pods' logs, read in turns, so that pods need no rights of their own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from secateur_operator.gateway.kube import logs
from secateur_operator.gateway.kube.client import KubeClient
from secateur_operator.gateway.kube.hints import RunningPods
from secateur_operator.gateway.protocol import GatewayError, Key

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
"""How often the pods of one PruningJob are read at most."""
AFTER_ERROR_SECONDS = 30.0
READS_PER_TURN = 10
"""Logs read in one turn, of all PruningJobs together: with more pods, each comes less often."""
TURN_SECONDS = 1.0


@dataclass
class _Followed:
    """One Job whose pods run."""

    due: float = 0.0
    lines: dict[str, str] = field(default_factory=dict)
    """Name of a pod -> its newest progress line."""
    read_at: dict[str, float] = field(default_factory=dict)


class ProgressReader:
    """Knows the newest progress line of each running pod, a few seconds late."""

    def __init__(
        self,
        client: KubeClient,
        running: Callable[[], Sequence[RunningPods]],
        news: Callable[[Key], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``running`` names the pods to read; ``news`` is told which PruningJob has moved on."""
        self._client = client
        self._running = running
        self._news = news
        self._clock = clock
        self._followed: dict[tuple[str, str], _Followed] = {}

    def lines(self, namespace: str, job: str) -> dict[str, str]:
        """Return the newest progress line of each pod of a Job, as far as one was read."""
        followed = self._followed.get((namespace, job))
        return dict(followed.lines) if followed else {}

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(TURN_SECONDS)

    async def turn(self) -> None:
        """Read the pods whose turn it is: those first that were read longest ago."""
        now = self._clock()
        running = {(one.key.namespace, one.job): one for one in self._running()}
        self._followed = {name: self._followed.get(name, _Followed()) for name in running}
        due = sorted((name for name in running if self._followed[name].due <= now), key=self._due_of)
        left, reads = READS_PER_TURN, []
        for name in due:
            if left <= 0:
                break
            followed = self._followed[name]
            pods = sorted(running[name].pods, key=lambda pod: followed.read_at.get(pod, 0.0))[:left]
            left -= len(pods)
            reads.append(self._read(running[name].key, followed, pods, now))
        await asyncio.gather(*reads)

    def _due_of(self, name: tuple[str, str]) -> float:
        return self._followed[name].due

    async def _read(self, key: Key, followed: _Followed, pods: Sequence[str], now: float) -> None:
        followed.due = now + EVERY_SECONDS
        followed.read_at.update(dict.fromkeys(pods, now))
        found = await asyncio.gather(*(self._line(key, pod) for pod in pods), return_exceptions=True)
        is_news = False
        for pod, line in zip(pods, found, strict=True):
            if isinstance(line, GatewayError):
                log.debug("no progress of pod %s/%s: %s", key.namespace, pod, line)
                followed.due = now + AFTER_ERROR_SECONDS
            elif isinstance(line, BaseException):
                raise line
            elif line is not None and followed.lines.get(pod) != line:
                followed.lines[pod] = line
                is_news = True
        if is_news:
            self._news(key)

    async def _line(self, key: Key, pod: str) -> str | None:
        return logs.newest_progress(await logs.tail(self._client, key.namespace, pod))
