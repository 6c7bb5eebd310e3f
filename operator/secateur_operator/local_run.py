"""One PruningJob run to its end on this machine: the operator with a cluster of one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from secateur_api import PruningJob, PruningJobStatus
from secateur_api.conditions import Phase
from secateur_operator.domain import start, times
from secateur_operator.domain.plan import resolved_spec
from secateur_operator.domain.times import stamp
from secateur_operator.engine.loop import first_of, run_forever, work_queue
from secateur_operator.engine.reconciler import Reconciler, Seen
from secateur_operator.gateway.local.gateway import LocalGateway
from secateur_operator.gateway.local.home import Home, HomeError, HomeFolder, Resources
from secateur_operator.gateway.local.runner import STAGE_COMMAND
from secateur_operator.gateway.protocol import Key, NotFound

_LONGEST_DELAY_SECONDS = 10.0
"""A person waits for a full disk to be seen as free again; a look at it costs nothing."""


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    job: PruningJob
    interrupted: bool = False


def submit(home: Home, job: PruningJob) -> PruningJob:
    """Put a job into a home; a job that has ended, and may go better now, is asked to start again.

    A retry that waits is due at once: its user is here again. Raises HomeError.
    """
    resources = Resources(home)
    name = job.metadata.name
    try:
        resources.apply(as_fresh_as_before(home, job))
        current = resources.job(name)
        if start.next_run(current, home.defaults) is None and _is_worth_another_run(current):
            resources.ask_for_run(name, current.status.run + 1)
            current = resources.job(name)
        eager = start.without_wait(current.status)
        if eager != current.status:
            resources.apply_status(name, eager, resources.get(name).version)
            current = resources.job(name)
    except OSError as error:
        raise HomeError(f"cannot write to {home.path}: {error.strerror or error}") from None
    return current


def foreseen(home: HomeFolder, job: PruningJob, now: datetime) -> tuple[PruningJob, PruningJobStatus]:
    """Return the job as :func:`submit` would put it there, and the status that its run begins with or goes on
    from; nothing is written. Raises HomeError."""
    job = Resources(home).applied(as_fresh_as_before(home, job))
    run = start.next_run(job, home.defaults)
    if run is None and _is_worth_another_run(job):
        run = job.status.run + 1
    if run is not None:
        return job, start.begun(job, run, now, home.defaults)
    return job, start.refreshed(job, start.moved(job.status, home.defaults))


def made_fresh(job: PruningJob) -> PruningJob:
    """Return the job with a text in ``spec.fresh`` that no job had before."""
    spec = job.spec.model_copy(update={"fresh": stamp(datetime.now(UTC))})
    return job.model_copy(update={"spec": spec})


def as_fresh_as_before(home: HomeFolder, job: PruningJob) -> PruningJob:
    """Return the job with ``spec.fresh`` of its last run, where its file has none: what that run measured
    anew counts from then on."""
    try:
        before = Resources(home).job(job.metadata.name).spec.fresh
    except NotFound:
        before = None
    if job.spec.fresh is not None or before is None:
        return job
    return job.model_copy(update={"spec": job.spec.model_copy(update={"fresh": before})})


def run(
    home: Home,
    job: PruningJob,
    watch: Callable[[Seen], None],
    command: Sequence[str] = STAGE_COMMAND,
) -> Ending:
    """Reconcile a submitted job until it ends, is suspended, or a signal asks to stop. Raises HomeError."""
    if job.status.phase.is_final and start.next_run(job, home.defaults) is None:
        return Ending(job)
    return asyncio.run(_run(home, Key(job.metadata.namespace, job.metadata.name), watch, command))


async def _run(home: Home, key: Key, watch: Callable[[Seen], None], command: Sequence[str]) -> Ending:
    ended, interrupted = asyncio.Event(), asyncio.Event()

    def see(_key: Key, seen: Seen) -> None:
        watch(seen)
        if seen.idle and (seen.job.status.phase.is_final or seen.job.status.phase is Phase.SUSPENDED):
            ended.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    gateway = LocalGateway(home, key, command=command)
    try:
        await gateway.open()
        reconciler = Reconciler(gateway, lambda: datetime.now(UTC), see)
        await first_of(
            run_forever(gateway, reconciler, work_queue(_LONGEST_DELAY_SECONDS)),
            ended.wait(),
            interrupted.wait(),
        )
    except OSError as error:
        raise HomeError(f"cannot use {home.path}: {error.strerror or error}") from None
    finally:
        await gateway.close()
    return Ending(Resources(home).job(key.name), interrupted=not ended.is_set())


def _is_worth_another_run(job: PruningJob) -> bool:
    status = job.status
    if status.phase.is_final:
        return True  # data, code or files may be others now: each stage looks, and reuses what still holds
    # interrupted for so long that the budget is spent: its user wants it to go on
    return times.seconds_left(resolved_spec(status), status, datetime.now(UTC)) <= 0
