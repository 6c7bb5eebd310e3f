"""The results of a finished job, copied out of a home."""

from __future__ import annotations

from pathlib import Path

from secateur_api import PruningJob
from secateur_api.status import ArtifactStatus
from secateur_api.uri import local_path
from secateur_operator.domain.plan import resolved_spec, store_of
from secateur_operator.gateway.local.home import HomeFolder
from secateur_operator.gateway.results import ResultsError, checked, new_folder, results_of

_BLOCK = 2**20
_AGAIN = "secateur run makes again what is damaged"


def copy_results(home: HomeFolder, job: PruningJob, to: Path) -> list[Path]:
    """Copy the files that the job's status names into the new folder ``to``; return their paths there.

    Each file is compared with its SHA-256 in the status. Raises ResultsError for a job that has not finished,
    a file that is missing or another, and a folder that cannot be made.
    """
    results = results_of(job, "secateur run takes it to its end")
    with new_folder(to) as folder:
        for name, artifact in results.items():
            _copy(artifact, _source(home, job, artifact), folder / name)
    return [to / name for name in results]


def _source(home: HomeFolder, job: PruningJob, artifact: ArtifactStatus) -> Path:
    """Return where the file lies now: the home may have been moved since the status was written."""
    then = store_of(resolved_spec(job.status)).public_uri.rstrip("/") + "/"
    if artifact.uri.startswith(then):
        return home.path / "store" / artifact.uri.removeprefix(then)
    path = local_path(artifact.uri)
    if path is None:
        raise ResultsError(f"{artifact.uri} is not on this machine")
    return path


def _copy(artifact: ArtifactStatus, source: Path, target: Path) -> None:
    try:
        file = source.open("rb")
    except OSError as error:
        raise ResultsError(f"cannot read {source}: {error.strerror}; nothing was copied; {_AGAIN}") from None
    with file, checked(artifact, target, str(source), _AGAIN) as write:
        while block := file.read(_BLOCK):
            write(block)
