"""A finished job's results in a new folder, wherever they come from: all of them and whole, or none."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from secateur_api import PruningJob
from secateur_api.status import ArtifactStatus


class ResultsError(Exception):
    """The results cannot be had; the message says why in one sentence."""


def results_of(job: PruningJob, remedy: str) -> dict[str, ArtifactStatus]:
    """Return what a job's status names, each by the name of its file.

    Raises ResultsError for a job that has left nothing, or has not finished; ``remedy`` says what helps then.
    """
    name, status = job.metadata.name, job.status
    if not status.phase.is_final:
        raise ResultsError(
            f"{name} has not finished: {status.phase.value}, {status.percent:.0f}% done; {remedy}"
        )
    if not status.artifacts:
        raise ResultsError(f"{name} left no results: {status.message}")
    return dict(zip(_filenames(status.artifacts), status.artifacts, strict=True))


@contextlib.contextmanager
def new_folder(to: Path) -> Iterator[Path]:
    """Give a folder to fill; at the block's end ``to`` appears in one step, or nothing does.

    Raises ResultsError for a folder that cannot be made or filled.
    """
    partial = to.absolute().with_name(f".{to.absolute().name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        if to.exists() and not (to.is_dir() and not any(to.iterdir())):
            raise ResultsError(f"{to} is there already; name a new folder with --to")
        partial.mkdir(parents=True)
        yield partial
        os.replace(partial, to)
    except OSError as error:
        raise ResultsError(f"cannot copy to {to}: {error.strerror or error}; nothing was copied") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def checked(
    artifact: ArtifactStatus, target: Path, source: str, remedy: str
) -> Iterator[Callable[[bytes], None]]:
    """Give a function that writes the next piece of a file.

    Raises ResultsError at the block's end if what was written is not what the status names; ``source`` is
    where it came from, ``remedy`` what helps.
    """
    digest = hashlib.sha256()
    with target.open("xb") as file:

        def write(block: bytes) -> None:
            digest.update(block)
            file.write(block)

        yield write
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != artifact.sha256:
        expected = f"{artifact.sha256[:12]}..." if artifact.sha256 else "none"
        found = f"{digest.hexdigest()[:12]}..."
        raise ResultsError(
            f"{source} has sha256 {found}, the job's status names {expected}; nothing was copied; {remedy}"
        )


def _filenames(artifacts: Sequence[ArtifactStatus]) -> list[str]:
    """Return each file's name; where two have the same, with the start of its SHA-256 before it."""
    names = [artifact.uri.rsplit("/", 1)[-1] for artifact in artifacts]
    return [
        name if names.count(name) == 1 else f"{(artifact.sha256 or '')[:12]}-{name}"
        for name, artifact in zip(names, artifacts, strict=True)
    ]
