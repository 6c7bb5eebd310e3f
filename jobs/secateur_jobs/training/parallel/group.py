"""A leader and its followers: they meet, are joined for sums, and the leader says what comes next."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from typing import Any

from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import Retryable
from secateur_jobs.training.parallel.rendezvous import Line, follow, lead, lost
from secateur_jobs.training.parallel.team import Team, Workers
from secateur_jobs.training.step import on_gpu

_JOIN_SECONDS = 120
_COMMIT_SECONDS = 60.0
"""A store on a network may show a new file late."""
_LOOK_SECONDS = 0.5


@dataclass
class Leader:
    """The first process: evaluates, decides, commits."""

    team: Team
    lines: list[Line]

    def tell(self, **message: Any) -> None:
        """Tell every follower; raises Retryable(WORKER_LOST)."""
        for line in self.lines:
            line.tell(**message)

    def get_ready(self) -> None:
        """Wait until every follower is ready: a sum waits only seconds for a late one."""
        for line in self.lines:
            line.hear()
        self.tell(go=True)


@dataclass
class Follower:
    """Another process: does the same steps on its part of each batch."""

    team: Team
    line: Line

    def hear(self) -> dict[str, Any]:
        """Return what the leader says next; raises Retryable(WORKER_LOST) if it is gone."""
        message = self.line.hear()
        if message is None:
            raise lost("it says nothing")
        return message

    def get_ready(self) -> None:
        """Say that this one is, and wait for all others."""
        self.line.tell(ready=True)
        self.hear()


def meet(context: StageContext) -> Leader | Follower | None:
    """Join this process with the others of its Job.

    None for a follower that comes when the work is committed already. Raises Retryable(WORKER_LOST).
    """
    rank, size = context.request.shard, context.request.shards
    if rank > 0:
        met = follow(context.store, context.unit, rank)
        if met is None:
            return None
        hello = met.lines[0].hear()
        if hello is None:
            raise lost("it says nothing")
        _join(rank, size, met.host, int(hello["port"]))
        return Follower(Workers(rank, size), met.lines[0])
    met = lead(context.store, context.unit, size)
    leader = Leader(Workers(rank, size), met.lines)
    port = _free_port()
    leader.tell(port=port)
    _join(rank, size, met.host, port)
    return leader


def wait_for_commit(context: StageContext, group: Follower) -> None:
    """Wait until the leader has committed; raises Retryable(WORKER_LOST) if it ends without."""
    ended_at: float | None = None
    while context.store.look(context.unit).result is None:
        if ended_at is None:
            try:
                group.line.hear(_LOOK_SECONDS)
            except Retryable:
                ended_at = time.monotonic()
        elif time.monotonic() - ended_at > _COMMIT_SECONDS:
            raise lost("it ended before it had committed the round")
        else:
            time.sleep(_LOOK_SECONDS)


def _join(rank: int, size: int, host: str, port: int) -> None:
    """Let ``paddle.distributed`` join the processes; it takes its orders from the environment only."""
    if on_gpu():
        device = rank % paddle.device.cuda.device_count()
        backend = {"PADDLE_DISTRI_BACKEND": "nccl", "FLAGS_selected_gpus": str(device)}
    else:
        backend = {"PADDLE_DISTRI_BACKEND": "gloo"}
    os.environ.update(
        backend,
        PADDLE_TRAINER_ID=str(rank),
        PADDLE_TRAINERS_NUM=str(size),
        PADDLE_CURRENT_ENDPOINT=f"{host}:{port}",
        PADDLE_TRAINER_ENDPOINTS=",".join([f"{host}:{port}"] * size),
        MASTER_ADDR=host,
        MASTER_PORT=str(port),
        FLAGS_stop_check_timeout=str(_JOIN_SECONDS),
    )
    try:
        paddle.distributed.init_parallel_env()
    except (RuntimeError, ValueError, OSError) as error:
        raise lost(str(error).strip().splitlines()[-1][-200:]) from None


def _free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])
