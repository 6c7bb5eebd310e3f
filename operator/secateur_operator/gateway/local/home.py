"""The home folder: its layout, its lock, files that are whole or not there, and PruningJobs as files.

A PruningJob has the API server's rules: versions, generations, preconditions.

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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from secateur_api import InvalidResource, PruningJob, PruningJobStatus, parse_job
from secateur_api.base import RUN_ANNOTATION
from secateur_api.spec import Store
from secateur_api.uri import file_uri
from secateur_operator.domain.observed import Defaults
from secateur_operator.domain.times import stamp
from secateur_operator.gateway.protocol import Conflict, NotFound, Resource


class HomeError(Exception):
    """The home cannot be used; the message says why in one line."""


class HomeFolder:
    """A home folder to read in, also while another process has its lock."""

    def __init__(self, path: Path) -> None:
        """Raises HomeError where the path is no text: jobs and results name it in JSON."""
        self.path = path.absolute()
        try:
            str(self.path).encode()
        except UnicodeEncodeError:
            raise HomeError(
                f"{str(self.path)!a} has bytes that are no text; choose another with --home"
            ) from None

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
        raise HomeError(f"{path} is damaged ({error}); delete it to start again") from None
    if not isinstance(document, dict):
        raise HomeError(f"{path} is damaged (not a mapping); delete it to start again")
    return document


class Resources:
    """The PruningJobs of a home."""

    def __init__(self, home: HomeFolder) -> None:
        self._home = home

    def get(self, name: str) -> Resource:
        """Read one; raises NotFound, HomeError."""
        document = read_json(self._home.job(name) / "resource.json")
        if document is None:
            raise NotFound(f"PruningJob {name} is not there")
        return Resource(document, document["metadata"]["resourceVersion"])

    def job(self, name: str) -> PruningJob:
        """Read one; raises NotFound, and HomeError for one that another version wrote."""
        try:
            return parse_job(self.get(name).document)
        except InvalidResource as error:
            path = self._home.job(name)
            raise HomeError(
                f"{path} was written by another version ({error}); delete it to start again"
            ) from None

    def apply(self, job: PruningJob) -> None:
        """Create it, or give it this spec; a spec that differs is a new generation. Raises OSError."""
        document, is_new = self._applied(job)
        if is_new:
            self._write(job.metadata.name, document)

    def applied(self, job: PruningJob) -> PruningJob:
        """Return what :meth:`apply` would make of it, and write nothing."""
        return parse_job(self._applied(job)[0])

    def _applied(self, job: PruningJob) -> tuple[dict[str, Any], bool]:
        """Return the document with this spec, and whether it is another than the one that is there."""
        document = job.to_wire()
        document.pop("status", None)
        try:
            old = self.get(job.metadata.name).document
        except NotFound:
            meta = {"uid": str(uuid.uuid4()), "generation": 1, "creationTimestamp": stamp(datetime.now(UTC))}
            document["metadata"].update(meta, resourceVersion="1")
        else:
            if old["spec"] == document["spec"]:
                return old, False
            document["metadata"] = {**old["metadata"], "generation": old["metadata"]["generation"] + 1}
            document["status"] = old.get("status", {})
            _bump(document)
        return document, True

    def ask_for_run(self, name: str, run: int) -> None:
        """Ask that a job that has ended starts again. Raises NotFound, OSError."""
        document = self.get(name).document
        document["metadata"].setdefault("annotations", {})[RUN_ANNOTATION] = str(run)
        _bump(document)
        self._write(name, document)

    def apply_status(self, name: str, status: PruningJobStatus, version: str) -> None:
        """Write the status if the version is still that; raises NotFound, Conflict, OSError."""
        resource = self.get(name)
        if resource.version != version:
            raise Conflict(f"PruningJob {name} is at version {resource.version}, not {version}")
        document = resource.document
        new = status.to_wire()
        if new == document.get("status"):
            return
        document["status"] = new
        _bump(document)
        self._write(name, document)

    def _write(self, name: str, document: dict[str, Any]) -> None:
        write_json(self._home.job(name) / "resource.json", document)


def _bump(document: dict[str, Any]) -> None:
    meta = document["metadata"]
    meta["resourceVersion"] = str(int(meta["resourceVersion"]) + 1)
