"""``secateur status | logs | report | fetch``: what has come of the jobs of a home, or of a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from secateur_api import PruningJob
from secateur_api.conditions import Phase
from secateur_api.stage import PROGRESS_PREFIX, Stage
from secateur_api.uri import local_path
from secateur_operator.gateway.local.home import HomeError, HomeFolder, Resources, read_json
from secateur_operator.gateway.local.results import copy_results
from secateur_operator.gateway.protocol import GatewayError, StoreError
from secateur_operator.gateway.results import ResultsError
from secateur_operator.refusal import EXIT_INTERRUPTED, need, say, wrong
from secateur_operator.store_cli import HomeOption, PullSecrets
from secateur_operator.view import words
from secateur_operator.view.output import Output, print_job

Job = Annotated[str | None, typer.Argument(help="Name of the PruningJob; not needed where there is one.")]


def status(
    job: Job = None,
    home: HomeOption = Path(".secateur"),
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print it.")] = Output.TABLE,
) -> None:
    """Show one job of a home, or without a name all of them."""
    try:
        folder = HomeFolder(home)
        if job is None and len(folder.jobs()) != 1 and output is Output.TABLE:
            return _list(folder)
        found = Resources(folder).job(_named(folder, job))
    except HomeError as error:
        wrong(str(error))
    print_job(found, output)
    if found.status.stage is not None and found.status.progress is not None and output is Output.TABLE:
        print(f"now: {words.title(found.status.stage)}: {found.status.progress.step}")  # noqa: T201


def logs(
    job: Job = None,
    stage: Annotated[Stage | None, typer.Option(help="Of this stage; default: of the newest.")] = None,
    home: HomeOption = Path(".secateur"),
) -> None:
    """Print what a stage's processes printed, each attempt after the other, without their progress."""
    try:
        folder = HomeFolder(home)
        name = _named(folder, job)
        found = list(_logs(folder, name, stage))
    except HomeError as error:
        wrong(str(error))
    if not found:
        wrong(f"{name} has no log" + (f" of stage {stage.value}" if stage else ""))
    for log in found if stage is not None else found[-1:]:
        print(f"==> {log.parent.name}, process {log.stem} <==")  # noqa: T201
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            if not line.startswith(PROGRESS_PREFIX):
                print(line)  # noqa: T201


def report(job: Job = None, home: HomeOption = Path(".secateur")) -> None:
    """Print where a job's report lies: one HTML file."""
    try:
        folder = HomeFolder(home)
        name = _named(folder, job)
        found = Resources(folder).job(name).status.artifacts
    except HomeError as error:
        wrong(str(error))
    path = next((local_path(artifact.uri) for artifact in found if artifact.kind == "report"), None)
    if path is None:
        wrong(f"{name} has no report yet; secateur status shows its progress")
    print(path)  # noqa: T201


def fetch(
    to: Annotated[Path, typer.Option("--to", help="The folder to make; it must not be there, or be empty.")],
    job: Job = None,
    home: HomeOption = Path(".secateur"),
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Of a PruningJob on a cluster, by a pod there.")
    ] = False,
    namespace: Annotated[
        str | None, typer.Option("-n", "--namespace", help="Its namespace. Default: the kubeconfig's.")
    ] = None,
    image_pull_secret: PullSecrets = None,
) -> None:
    """Copy a finished job's results into a new folder: models, checkpoint, report, model card.

    Each file is compared with its SHA-256 in the job's status. Exit code: 0, 2 where nothing was copied, or
    130 interrupted.
    """
    if namespace is not None and not cluster:
        wrong("--namespace is a cluster's; give --cluster too")
    try:
        if cluster:
            found, copied = _from_cluster(job, namespace, to, tuple(image_pull_secret or ()))
        else:
            folder = HomeFolder(home)
            found = Resources(folder).job(_named(folder, job))
            copied = copy_results(folder, found, to)
    except (HomeError, ResultsError, StoreError, GatewayError) as error:
        wrong(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    for path in copied:
        print(path)  # noqa: T201
    if found.status.phase is Phase.FAILED:
        say(f"{found.metadata.name} Failed: {found.status.message}")


def _from_cluster(
    job: str | None, namespace: str | None, to: Path, pull_secrets: tuple[str, ...]
) -> tuple[PruningJob, list[Path]]:
    need("operator", "secateur fetch --cluster")
    from secateur_operator.fetch_on_cluster import fetch_results  # an extra, and slow to import

    return asyncio.run(fetch_results(job, namespace, to, pull_secrets, say))


def _list(home: HomeFolder) -> None:
    names = _jobs(home)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("job", "phase", "done", "message"):
        table.add_column(title, overflow="fold")
    for name in names:
        status = Resources(home).job(name).status
        table.add_row(name, status.phase.value, f"{status.percent:.0f}%", status.message)
    Console().print(table)


def _named(home: HomeFolder, job: str | None) -> str:
    """Return the job that is meant; raises HomeError with those that there are."""
    names = _jobs(home)
    if job is None and len(names) == 1:
        return names[0]
    if job in names:
        return str(job)
    what = "say which job" if job is None else f"{home.path} has no job {job!r}"
    raise HomeError(f"{what}: it has {', '.join(names)}; --home names another folder")


def _jobs(home: HomeFolder) -> list[str]:
    if names := home.jobs():
        return names
    raise HomeError(f"{home.path} has no job; secateur run puts one there, --home names another folder")


def _logs(home: HomeFolder, job: str, stage: Stage | None) -> Iterator[Path]:
    """Yield the logs of a job's stages, the newest last."""
    found = []
    for log in home.children(job).glob("*/*.log"):
        child = read_json(log.parent / "job.json")
        if child is not None and (stage is None or child["input"]["stage"] == stage.value):
            found.append(log)
    yield from sorted(found, key=lambda log: log.stat().st_mtime)
