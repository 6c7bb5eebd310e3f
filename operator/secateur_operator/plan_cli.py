"""``secateur plan``: what a run would do, and what of it is in the store already."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from secateur_api import InvalidResource, code_digest
from secateur_operator import local_run
from secateur_operator.document import read_job
from secateur_operator.domain.foreseen import Foreseen, foresee
from secateur_operator.domain.plan import resolved_spec, store_of
from secateur_operator.gateway.local.home import HomeError, HomeFolder
from secateur_operator.gateway.local.recall import NotForeseen, damaged, recall
from secateur_operator.gateway.protocol import StoreError
from secateur_operator.local_files import pinned
from secateur_operator.refusal import need, wrong
from secateur_operator.store_cli import HomeOption, expanded
from secateur_operator.view.foreseen import print_foreseen
from secateur_operator.view.output import Output, print_wire


def plan(
    file: Annotated[Path, typer.Argument(help="YAML file with one PruningJob.")],
    home: HomeOption = Path(".secateur"),
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print it.")] = Output.TABLE,
    code: Annotated[
        Path | None, typer.Option(help="Folder with your Python modules.", callback=expanded)
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="As for a run that reuses no result.")] = False,
) -> None:
    """Say which stages a run would do, and whose results are in the store; nothing is done or written.

    Data, code and weights are read, for results are found by their content. Exit code: 0, or 2 where a run
    could not begin.
    """
    need("jobs", "secateur plan")
    os.environ[code_digest.APART] = code_digest.apart(file)  # the stages' processes inherit it
    try:
        found = _foreseen(HomeFolder(home), file, code, fresh)
    except InvalidResource as error:
        wrong(*(f"{file}: {problem}" for problem in error.problems))
    except (HomeError, NotForeseen, StoreError) as error:
        wrong(str(error))
    if output is Output.TABLE:
        print_foreseen(Console(), found)
    else:
        print_wire(found, output)


def _foreseen(home: HomeFolder, file: Path, code: Path | None, fresh: bool) -> Foreseen:
    now = datetime.now(UTC)
    job = pinned(read_job(file), file.absolute().parent, code)
    job, status = local_run.foreseen(home, local_run.made_fresh(job) if fresh else job, now)
    units = [unit for done in status.stages for unit in done.units]
    return foresee(job, status, damaged(store_of(resolved_spec(status)), units), recall, now)
