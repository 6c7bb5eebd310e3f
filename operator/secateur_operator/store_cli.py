"""``secateur store list | verify | gc``: of a home, of any URI, or of what the jobs of a cluster use."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from secateur_api.quantity import parse_duration
from secateur_api.spec import Store
from secateur_api.storekeeping import Action, Answer, StoreRequest
from secateur_api.uri import redacted
from secateur_operator.domain import named
from secateur_operator.domain.named import Shelf, Where
from secateur_operator.gateway.local.home import Home, HomeError, Resources
from secateur_operator.gateway.local.runner import ask
from secateur_operator.gateway.protocol import GatewayError, StoreError
from secateur_operator.refusal import need, wrong
from secateur_operator.view.output import print_cleared, print_kept

EXIT_DAMAGED = 1
RETENTION = "720h"

app = typer.Typer(
    help="Look at an artifact store, verify it, or remove what no job names.", no_args_is_help=True
)


def expanded(path: Path | None) -> Path | None:
    """Return a path with its ``~``, which a shell leaves as it is in ``--home=~/results``."""
    return None if path is None else Path(os.path.expanduser(path))


HomeOption = Annotated[Path, typer.Option(help="Folder that keeps state and results.", callback=expanded)]
Uri = Annotated[str | None, typer.Option("--store", help="Instead of a home: the store's URI.")]
Cluster = Annotated[
    bool, typer.Option("--cluster", help="Stores of a cluster's PruningJobs, by a Job there.")
]
Namespaces = Annotated[
    list[str] | None,
    typer.Option("-n", "--namespace", envvar="SECATEUR_NAMESPACES", help="Namespace; repeatable. None: all."),
]
Claim = Annotated[str | None, typer.Option(help="This claim of the one namespace, and no other store.")]
Secret = Annotated[str | None, typer.Option(help="Secret with the credentials for --store on a cluster.")]
Image = Annotated[
    str | None, typer.Option(envvar="SECATEUR_IMAGE", help="Image of the Job, where no PruningJob names one.")
]
PullSecrets = Annotated[
    list[str] | None,
    typer.Option("--image-pull-secret", envvar="SECATEUR_IMAGE_PULL_SECRETS", help="To pull it; repeatable."),
]


@app.command("list")
def list_(
    home: HomeOption = Path(".secateur"),
    store: Uri = None,
    cluster: Cluster = False,
    namespace: Namespaces = None,
    claim: Claim = None,
    secret: Secret = None,
    image: Image = None,
    image_pull_secret: PullSecrets = None,
) -> None:
    """Show every unit: its stage, files, bytes, age, and whether its result can be read."""
    where = _where(cluster, namespace, claim, store, secret, image, image_pull_secret)
    _keep("list", home, store, where)


@app.command()
def verify(
    home: HomeOption = Path(".secateur"),
    store: Uri = None,
    cluster: Cluster = False,
    namespace: Namespaces = None,
    claim: Claim = None,
    secret: Secret = None,
    image: Image = None,
    image_pull_secret: PullSecrets = None,
) -> None:
    """Read every file of every unit and compare it; exit code 1 if any is damaged."""
    where = _where(cluster, namespace, claim, store, secret, image, image_pull_secret)
    _keep("verify", home, store, where)


@app.command()
def gc(
    home: HomeOption = Path(".secateur"),
    cluster: Cluster = False,
    namespace: Namespaces = None,
    claim: Claim = None,
    store: Annotated[str | None, typer.Option("--store", help="On a cluster: this URI only.")] = None,
    secret: Secret = None,
    image: Image = None,
    image_pull_secret: PullSecrets = None,
    older_than: Annotated[
        str, typer.Option(help="Keep what was written since: 720h is 30 days.")
    ] = RETENTION,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove what no PruningJob names and nobody has written for a while.

    What a job of the home or of the cluster names stays, finished or not; delete the job first. What a
    running stage writes stays.
    """
    where = _where(cluster, namespace, claim, store, secret, image, image_pull_secret)
    if store is not None and where is None:
        wrong("--store: the PruningJobs of a cluster name what must stay there; give --cluster too")
    try:
        seconds = parse_duration(older_than)
    except ValueError as error:
        wrong(f"--older-than: {error}")
    _keep("gc", home, None, where, older_than=seconds, dry_run=dry_run)


def _keep(
    action: Action,
    home: Path,
    uri: str | None,
    where: Where | None,
    older_than: float = 0.0,
    dry_run: bool = False,
) -> None:
    found: list[tuple[str, list[Answer] | StoreError]]
    need("jobs" if where is None else "operator", "secateur store")
    try:
        if where is not None:
            from secateur_operator.store_on_cluster import keep_shelves  # an extra, and slow to import

            found = asyncio.run(keep_shelves(action, where, older_than, dry_run))
        elif uri is not None:
            found = [(redacted(uri), ask(StoreRequest(action=action, store=uri)))]
        else:
            found = [_at_home(action, home, older_than, dry_run)]
    except (StoreError, HomeError, GatewayError) as error:
        wrong(str(error))
    damaged = [_print(action, title, said, dry_run) for title, said in found if isinstance(said, list)]
    failed = [str(said) for _, said in found if isinstance(said, StoreError)]
    if failed:
        wrong(*failed)
    raise typer.Exit(EXIT_DAMAGED if action == "verify" and any(damaged) else 0)


def _at_home(action: Action, path: Path, older_than: float, dry_run: bool) -> tuple[str, list[Answer]]:
    """Keep a home's store; it is locked meanwhile, so that no stage is at work."""
    if not (path / "store").is_dir():
        raise HomeError(f"{path} is no home: it has no store; name one with --home")
    home = Home(path)
    try:
        store = home.defaults.store
        if store is None:
            raise HomeError(f"{path} has no store")
        resources = Resources(home)
        jobs = [resources.job(name) for name in home.jobs()] if action == "gc" else []
        units = sorted(set().union(*(named.units_of(job.status) for job in jobs)))
        request = StoreRequest(
            action=action,
            store=store.stage_uri,
            units=units,
            before=named.safe_before((job.status for job in jobs), time.time(), older_than),
            dry_run=dry_run,
        )
        return str(home.path / "store"), ask(request)
    finally:
        home.close()


def _where(
    cluster: bool,
    namespaces: list[str] | None,
    claim: str | None,
    uri: str | None,
    secret: str | None,
    image: str | None,
    pull_secrets: list[str] | None,
) -> Where | None:
    """Return where to look on a cluster; None for this machine."""
    if not cluster:
        if claim is not None or secret is not None:
            wrong("--claim and --secret are a cluster's; give --cluster too")
        return None
    only: Shelf | None = None
    if claim is not None or uri is not None:
        if len(namespaces or []) != 1:
            wrong("--claim and --store need one --namespace, where the Job runs")
        try:
            only = Shelf((namespaces or [""])[0], Store(claim=claim, uri=uri, secret=secret))
        except ValidationError as error:
            wrong(f"--claim, --store: {error.errors()[0]['msg']}")
    return Where(tuple(namespaces or ()), only, image, tuple(pull_secrets or ()))


def _print(action: Action, title: str, answers: list[Answer], dry_run: bool) -> bool:
    console = Console(soft_wrap=True)
    console.print(title, style="bold", highlight=False, markup=False)
    if action == "gc":
        print_cleared(console, [one.cleared for one in answers if one.cleared is not None], dry_run)
        return False
    kept = [one.kept for one in answers if one.kept is not None]
    print_kept(console, kept, time.time())
    return any(one.damage for one in kept)
