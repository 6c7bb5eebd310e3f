"""The Job controller of one machine: each shard of a Job is a child process, which dies with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from secateur_api import ExitCode, Stage, StageInput, StageSummary
from secateur_api.conditions import Reason
from secateur_api.stage import INPUT_VARIABLE, RECALL_VARIABLE, SHARD_VARIABLE, TERMINATION_VARIABLE
from secateur_api.storekeeping import Answer, StoreRequest
from secateur_api.uri import local_path
from secateur_operator.domain.observed import JobState
from secateur_operator.domain.times import stamp
from secateur_operator.gateway.local import child
from secateur_operator.gateway.local.child import Child, Shard
from secateur_operator.gateway.protocol import answers

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05
_LIBC = ctypes.CDLL(None, use_errno=True)


class Entry(NamedTuple):
    """One live process; ``ticks`` (start time) tells it from a later one with the same pid."""

    pid: int
    session: int
    ticks: int


async def start(command: Sequence[str], env: Mapping[str, str], log: IO[bytes]) -> asyncio.subprocess.Process:
    """Start a process in a session of its own that is killed when this process ends. Raises OSError."""
    parent = os.getpid()

    def die_with_parent() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(128 + signal.SIGKILL)

    return await asyncio.create_subprocess_exec(
        *command,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def entry(pid: int) -> Entry | None:
    """Return a live process; None if there is none (a zombie is none)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    return None if fields[0] in "ZX" else Entry(pid, int(fields[3]), int(fields[19]))


def tree(leader: Entry | None, marker: str) -> set[Entry]:
    """Return what lives of a process tree.

    Members are found by the leader's session while it lives, and by ``marker`` (``NAME=value`` in their
    environment), which also finds those that left the session or outlived the leader.
    """
    is_there = leader is not None and entry(leader.pid) == leader
    return {
        found
        for name in os.listdir("/proc")
        if name.isdecimal() and (found := entry(int(name))) is not None
        if (is_there and leader is not None and found.session == leader.pid) or _has_marker(found.pid, marker)
    }


def _has_marker(pid: int, marker: str) -> bool:
    try:
        return marker.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # ended meanwhile, or another user's
        return False


async def end_tree(leader: Entry | None, marker: str, grace: float) -> None:
    """Ask a tree to end (SIGTERM); after ``grace`` seconds make it (SIGKILL). Returns when none is left."""
    known = tree(leader, marker)
    _signal(known, signal.SIGTERM)
    waited = 0.0
    while left := {one for one in known | tree(leader, marker) if entry(one.pid) == one}:
        known |= left
        if waited >= grace:
            _signal(left, signal.SIGKILL)
        await asyncio.sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS


def _signal(entries: set[Entry], number: signal.Signals) -> None:
    for one in entries:
        try:
            os.kill(one.pid, number)
        except ProcessLookupError:
            continue


STAGE_COMMAND = (sys.executable, "-m", "secateur_jobs")
_LOG_SECONDS = 2.0
GRACE_SECONDS = 5.0
"""How long a process may take to end by itself once asked."""


class Runner:
    """Runs Jobs, a limited number of processes at once."""

    def __init__(
        self,
        changed: Callable[[], None],
        limit: int | None = None,
        command: Sequence[str] = STAGE_COMMAND,
        grace: float = GRACE_SECONDS,
    ) -> None:
        """``changed`` is called when a process starts or ends; the stage's name follows ``command``."""
        self._changed = changed
        self._slots = asyncio.Semaphore(limit or os.cpu_count() or 1)
        self._command = tuple(command)
        self._grace = grace
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}

    def start(self, child: Child) -> None:
        """Run a new Job in the background."""
        stage = StageInput.model_validate_json(child.input_json).stage
        self._tasks[child.uid] = [
            asyncio.create_task(self._run(child, index, stage)) for index in range(len(child.shards))
        ]

    async def stop(self, child: Child) -> None:
        """End a Job's processes as trees and forget it; returns when none is left."""
        tasks = self._tasks.pop(child.uid, [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, child: Child, index: int, stage: Stage) -> None:
        shard = child.shards[index]
        # those that need each other must all run at once
        async with contextlib.nullcontext() if stage.is_joint else self._slots:
            if not shard.state.is_active:  # stopped while it waited
                return
            child.message(index).unlink(missing_ok=True)
            try:
                await self._process(child, index, stage)
            except OSError as error:
                self._cannot_start(child, index, stage, error)
        child.finished_at = stamp(datetime.now(UTC)) if not child.state.is_active else None
        if shard.state is JobState.FAILED and (stage.is_joint or not _is_worth_another_try(shard)):
            self._give_up(child, index)
        child.save()
        self._changed()

    async def _process(self, child: Child, index: int, stage: Stage) -> None:
        shard, marker = child.shards[index], f"{TERMINATION_VARIABLE}={child.message(index)}"
        scratch = child.scratch(index)
        shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
        scratch.mkdir(parents=True)
        with child.log(index).open("ab") as log:
            environment = stage_environment(
                child.input_json, index, child.message(index), scratch, child.recall
            )
            process = await start([*self._command, stage.value], environment, log)
        leader = entry(process.pid)
        shard.state, shard.pid = JobState.RUNNING, process.pid
        shard.ticks = leader.ticks if leader else None
        child.started_at = child.started_at or stamp(datetime.now(UTC))
        child.save()
        self._changed()
        try:
            code = await _ended(process, child.log(index))
        except asyncio.CancelledError:
            await end_tree(leader, marker, self._grace)
            await process.wait()
            raise
        else:
            await end_tree(None, marker, 0.0)  # what it left behind
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        shard.exit_code = code if code >= 0 else 128 - code
        shard.state = JobState.SUCCEEDED if code == 0 else JobState.FAILED

    def _cannot_start(self, child: Child, index: int, stage: Stage, error: OSError) -> None:
        why = f"the process cannot be started: {error.strerror or error}"
        summary = StageSummary(stage=stage, ok=False, reason=Reason.KILLED.value, message=why)
        child.shards[index].state = JobState.FAILED
        child.shards[index].exit_code = int(ExitCode.RETRYABLE)
        text = summary.model_dump_json(by_alias=True, exclude_none=True)
        child.message(index).write_text(text, encoding="utf-8")

    def _give_up(self, child: Child, cause: int) -> None:
        """A failure that no retry can mend, or of a shard that the others need: end those of the Job too."""
        for index, (shard, task) in enumerate(
            zip(child.shards, self._tasks.get(child.uid, []), strict=False)
        ):
            if index != cause and shard.state.is_active:
                task.cancel()
                task.add_done_callback(functools.partial(self._given_up, child, shard))

    def _given_up(self, child: Child, shard: Shard, _task: asyncio.Task[None]) -> None:
        if shard.state.is_active:
            shard.state = JobState.FAILED
        if not child.state.is_active:
            child.finished_at = stamp(datetime.now(UTC))
        child.save()
        self._changed()


async def _ended(process: asyncio.subprocess.Process, log: Path) -> int:
    """Wait for a process's end, keeping its log short meanwhile; return its exit code."""
    ended = asyncio.ensure_future(process.wait())
    try:
        while not ended.done():
            await asyncio.wait([ended], timeout=_LOG_SECONDS)
            child.shorten(log)
    finally:
        ended.cancel()
    return ended.result()


def _is_worth_another_try(shard: Shard) -> bool:
    code = shard.exit_code
    return not (code in set(ExitCode) and (code == ExitCode.INTERNAL or ExitCode(code).is_user_error))


def stage_environment(
    input_json: str, shard: int, message: Path, scratch: Path, recall: bool
) -> dict[str, str]:
    """Return the environment of a stage's process; it leaves its last words in ``message``."""
    code = StageInput.model_validate_json(input_json).spec.code
    env = {
        **os.environ,
        INPUT_VARIABLE: input_json,
        RECALL_VARIABLE: "1" if recall else "",
        TERMINATION_VARIABLE: str(message),
        SHARD_VARIABLE: str(shard),
        "TMPDIR": str(scratch.absolute()),
        "PYTHONUNBUFFERED": "1",
        # user code comes from --code only: what merely lies in the current folder has no digest
        "PYTHONSAFEPATH": "1",
    }
    folder = local_path(code.uri) if code is not None else None
    if folder is not None:
        paths = [str(folder), env.get("PYTHONPATH", "")]
        env["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return env


def ask(request: StoreRequest) -> list[Answer]:
    """Return the answers to a request. Raises StoreError."""
    ended = subprocess.run(
        [*STAGE_COMMAND, "store"],
        input=request.model_dump_json(by_alias=True),
        capture_output=True,
        text=True,
        check=False,
    )
    said = ended.stderr.strip().splitlines()
    return answers(ended.stdout.splitlines(), said[-1] if said else f"exit code {ended.returncode}")
