"""The results of a finished job, copied out of a home: all of them and whole, or none."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from secateur_api import PruningJob
from secateur_api.status import ArtifactStatus
from secateur_api.uri import local_path
from secateur_operator.domain.plan import resolved_spec, store_of
from secateur_operator.gateway.local.home import HomeError, HomeFolder

_BLOCK = 2**20


def copy_results(home: HomeFolder, job: PruningJob, to: Path) -> list[Path]:
    """Copy the files that the job's status names into the new folder ``to``; return their paths there.

    Each file is compared with its SHA-256 in the status. The folder appears in one step. Raises HomeError for
    a job that has not finished, a file that is missing or another, and a folder that cannot be made.
    """
    name, status = job.metadata.name, job.status
    if not status.phase.is_final:
        said = f"{status.phase.value}, {status.percent:.0f}% done"
        raise HomeError(f"{name} has not finished: {said}; secateur run takes it to its end")
    if not status.artifacts:
        raise HomeError(f"{name} left no results: {status.message}")
    partial = to.absolute().with_name(f".{to.absolute().name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        if to.exists() and not (to.is_dir() and not any(to.iterdir())):
            raise HomeError(f"{to} is there already; name a new folder with --to")
        partial.mkdir(parents=True)
        for artifact, filename in zip(status.artifacts, _filenames(status.artifacts), strict=True):
            _copy(artifact, _source(home, job, artifact), partial / filename)
        os.replace(partial, to)
    except OSError as error:
        raise HomeError(f"cannot copy to {to}: {error.strerror or error}; nothing was copied") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [to / filename for filename in _filenames(status.artifacts)]


def _filenames(artifacts: Sequence[ArtifactStatus]) -> list[str]:
    """Return each file's name; where two have the same, with the start of its SHA-256 before it."""
    names = [artifact.uri.rsplit("/", 1)[-1] for artifact in artifacts]
    return [
        name if names.count(name) == 1 else f"{(artifact.sha256 or '')[:12]}-{name}"
        for name, artifact in zip(names, artifacts, strict=True)
    ]


def _source(home: HomeFolder, job: PruningJob, artifact: ArtifactStatus) -> Path:
    """Return where the file lies now: the home may have been moved since the status was written."""
    then = store_of(resolved_spec(job.status)).public_uri.rstrip("/") + "/"
    if artifact.uri.startswith(then):
        return home.path / "store" / artifact.uri.removeprefix(then)
    path = local_path(artifact.uri)
    if path is None:
        raise HomeError(f"{artifact.uri} is not on this machine")
    return path


def _copy(artifact: ArtifactStatus, source: Path, target: Path) -> None:
    """Copy a file block by block; raises HomeError if what was read is not what the status names."""
    digest = hashlib.sha256()
    try:
        file = source.open("rb")
    except OSError as error:
        raise HomeError(f"cannot read {source}: {error.strerror}; {_AGAIN}") from None
    with file, target.open("xb") as copy:
        while block := file.read(_BLOCK):
            digest.update(block)
            copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    if digest.hexdigest() != artifact.sha256:
        expected = f"{artifact.sha256[:12]}..." if artifact.sha256 else "none"
        found = f"{digest.hexdigest()[:12]}..."
        raise HomeError(f"{source} has sha256 {found}, the job's status names {expected}; {_AGAIN}")


_AGAIN = "nothing was copied; secateur run makes again what is damaged"
