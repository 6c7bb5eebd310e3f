"""A Job on this machine: its folder, its shards and their logs, and how it looks from outside."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secateur_api.stage import PROGRESS_PREFIX
from secateur_operator.domain.observed import JobState, ObservedJob, ObservedShard
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.local.home import read_json, write_json

_log = logging.getLogger(__name__)
_TAIL_BYTES = 16384
LONGEST_BYTES = 8 << 20
"""A log that grows longer loses its middle."""
_KEPT_BYTES = 1 << 20


def newest_progress(log: Path) -> str | None:
    """Return the newest whole progress line, without its prefix; None if there is none near the end."""
    for line in reversed(_tail(log)):
        if line.startswith(PROGRESS_PREFIX):
            return line.removeprefix(PROGRESS_PREFIX)
    return None


def last_words(log: Path) -> str | None:
    """Return the last line that is no progress; None if there is none near the end."""
    for line in reversed(_tail(log)):
        if line.strip() and not line.startswith(PROGRESS_PREFIX):
            return line.strip()[:300]
    return None


def shorten(log: Path) -> None:
    """Cut the middle out of a log that is longer than :data:`LONGEST_BYTES`, and say so in its place.

    Its writers append, so they go on behind what is left; what they write meanwhile may be lost.
    """
    try:
        size = log.stat().st_size
        if size <= LONGEST_BYTES:
            return
        with log.open("r+b") as file:
            file.seek(size - _KEPT_BYTES)
            end = file.read(_KEPT_BYTES).partition(b"\n")[2]
            file.seek(_KEPT_BYTES)
            file.write(b"\n... %d bytes of this log were left out ...\n" % (size - 2 * _KEPT_BYTES) + end)
            file.truncate()
    except OSError as error:
        _log.warning("cannot shorten the log %s: %s", log, error)


def _tail(log: Path) -> list[str]:
    """Return the last lines, without the part of a line that is still being written or cut at the front."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    lines = text.split("\n")
    return lines[1 if size > _TAIL_BYTES else 0 : -1]


log = logging.getLogger(__name__)


@dataclass
class Shard:
    """One process of a Job."""

    state: JobState = JobState.PENDING
    pid: int | None = None
    ticks: int | None = None
    exit_code: int | None = None


@dataclass
class Child:
    """A Job; what is here is also in its folder, except while a write fails."""

    folder: Path
    name: str
    uid: str
    owner_uid: str
    input_hash: str
    run: int
    shards: list[Shard]
    started_at: str | None = None
    finished_at: str | None = None
    recall: bool = False
    input_json: str = field(default="", repr=False)

    @classmethod
    def new(cls, folder: Path, job: StageJob) -> Child:
        """Create the Job's folder; the Job exists from here on. Raises OSError."""
        child = cls(
            folder=folder,
            name=job.name,
            uid=str(uuid.uuid4()),
            owner_uid=job.owner_uid,
            input_hash=job.input_hash,
            run=job.run,
            shards=[Shard() for _ in range(job.shards)],
            recall=job.recall,
            input_json=job.input_json,
        )
        (folder / "state.json").unlink(missing_ok=True)
        identity: dict[str, Any] = {"uid": child.uid, "ownerUid": job.owner_uid, "inputHash": job.input_hash}
        labels = {"run": job.run, "round": job.round, "attempt": job.attempt, "shards": job.shards}
        write_json(folder / "job.json", {**identity, **labels, "input": job.input.to_wire()})
        return child

    @classmethod
    def load(cls, folder: Path) -> Child | None:
        """Read a Job back; None if the folder holds none."""
        job = read_json(folder / "job.json")
        if job is None:
            return None
        state = read_json(folder / "state.json") or {}
        shards = [
            Shard(JobState(one["state"]), one["pid"], one["ticks"], one["exitCode"])
            for one in state.get("shards", [])
        ]
        return cls(
            folder=folder,
            name=folder.name,
            uid=job["uid"],
            owner_uid=job["ownerUid"],
            input_hash=job["inputHash"],
            run=job["run"],
            shards=shards or [Shard() for _ in range(job["shards"])],
            started_at=state.get("startedAt"),
            finished_at=state.get("finishedAt"),
        )

    def save(self) -> None:
        """Write the state; a failure is logged only: what is lost is found again in the store."""
        document: dict[str, Any] = {
            "shards": [
                {"state": s.state.value, "pid": s.pid, "ticks": s.ticks, "exitCode": s.exit_code}
                for s in self.shards
            ],
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
        }
        try:
            write_json(self.folder / "state.json", document)
        except OSError as error:
            log.warning("cannot write the state of Job %s: %s", self.name, error)

    def remove(self) -> None:
        """End the Job's existence; its logs stay. Raises OSError."""
        (self.folder / "job.json").unlink(missing_ok=True)
        (self.folder / "state.json").unlink(missing_ok=True)

    def log(self, index: int) -> Path:
        """Return the path of a shard's log."""
        return self.folder / f"{index}.log"

    def message(self, index: int) -> Path:
        """Return the path of a shard's termination message."""
        return self.folder / f"{index}.message"

    def scratch(self, index: int) -> Path:
        """Return a shard's folder for temporary files; it is there only while the shard runs."""
        return self.folder / f"{index}.tmp"

    @property
    def state(self) -> JobState:
        """The Job's state: failed only when no shard is active any more."""
        states = {shard.state for shard in self.shards}
        if states == {JobState.SUCCEEDED}:
            return JobState.SUCCEEDED
        if not any(state.is_active for state in states):
            return JobState.FAILED
        return JobState.PENDING if states == {JobState.PENDING} else JobState.RUNNING

    def observe(self) -> ObservedJob:
        """Return what the reconciler sees."""
        return ObservedJob(
            name=self.name,
            uid=self.uid,
            run=self.run,
            state=self.state,
            shards=tuple(self._observe(index, shard) for index, shard in enumerate(self.shards)),
            started_at=self.started_at,
            finished_at=self.finished_at,
        )

    def _observe(self, index: int, shard: Shard) -> ObservedShard:
        path, message = self.log(index), self.message(index)
        ended = not shard.state.is_active
        return ObservedShard(
            index=index,
            state=shard.state,
            exit_code=shard.exit_code,
            message=message.read_text(encoding="utf-8") if ended and message.exists() else None,
            progress=newest_progress(path) if shard.state is JobState.RUNNING else None,
            log=str(path),
            last_line=last_words(path) if shard.state is JobState.FAILED else None,
        )
