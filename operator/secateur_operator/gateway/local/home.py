"""The home folder: its layout, its lock, and files that are whole or not there.

::

    HOME/lock                                   flock; holds the pid of who has it
    HOME/store/                                 the artifact store, shared by all jobs
    HOME/jobs/<job>/resource.json               the PruningJob
    HOME/jobs/<job>/events.jsonl
    HOME/jobs/<job>/children/<name>/job.json    a Job; it exists while this file does
    HOME/jobs/<job>/children/<name>/state.json
    HOME/jobs/<job>/children/<name>/<shard>.log and <shard>.message
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from pathlib import Path
from typing import Any

from secateur_api.spec import Store
from secateur_api.uri import file_uri
from secateur_operator.domain.observed import Defaults


class HomeError(Exception):
    """The home cannot be used; the message says why in one line."""


class HomeFolder:
    """A home folder to read in, also while another process has its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def jobs(self) -> list[str]:
        """Return the names of all PruningJobs."""
        return sorted(found.parent.name for found in self.path.glob("jobs/*/resource.json"))

    def job(self, name: str) -> Path:
        """Return the folder of a PruningJob."""
        return self.path / "jobs" / name

    def children(self, name: str) -> Path:
        """Return the folder of a PruningJob's Jobs."""
        return self.job(name) / "children"

    @property
    def defaults(self) -> Defaults:
        """What jobs get here: the home's store, whatever they say."""
        return Defaults(Store(uri=file_uri(self.path / "store")), forced=True)


class Home(HomeFolder):
    """A locked home folder; the lock ends with ``close`` or with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        """Create and lock the folder; raises HomeError if it is busy or not writable."""
        super().__init__(path)
        try:
            str(self.path).encode()  # jobs and results name it in JSON
        except UnicodeEncodeError:
            raise HomeError(
                f"{str(self.path)!a} has bytes that are no text; choose another with --home"
            ) from None
        try:
            (self.path / "store").mkdir(parents=True, exist_ok=True)
            (self.path / "jobs").mkdir(exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise HomeError(
                f"cannot use {self.path} as home: {error.strerror}; choose another with --home"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._lock, 32).decode(errors="replace").strip()
            os.close(self._lock)
            raise HomeError(
                f"{self.path} is in use by another run (process {holder or 'unknown'}); "
                "wait for it, or choose another folder with --home"
            ) from None
        try:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            os.close(self._lock)
            raise HomeError(f"cannot write to {self.path}: {error.strerror}") from None

    def close(self) -> None:
        """Release the lock."""
        os.close(self._lock)


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a file so that a reader sees all of it or nothing, also after a crash. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """Read what :func:`write_json` wrote; None if it is not there. Raises HomeError if it is damaged."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise HomeError(f"{path} is damaged ({error}); delete it to start anew") from None
    if not isinstance(document, dict):
        raise HomeError(f"{path} is damaged (not a mapping); delete it to start anew")
    return document
