"""The command line: ``secateur``, with the commands of this module and of the ``*_cli`` beside it."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from secateur_api import InvalidResource, PruningJob, code_digest
from secateur_api.conditions import Phase
from secateur_api.crd import crd as build_crd
from secateur_operator import home_cli, local_run, model_cli, plan_cli, store_cli
from secateur_operator.cluster.settings import (
    LogFormat,
    PullPolicy,
    Settings,
    SettingsError,
    selector_of,
    store_of,
)
from secateur_operator.document import read_job
from secateur_operator.engine import reconciler
from secateur_operator.gateway.local.home import Home, HomeError
from secateur_operator.local_files import pinned
from secateur_operator.refusal import EXIT_INTERRUPTED, need, say, wrong
from secateur_operator.view.live import LiveView, PlainView
from secateur_operator.view.output import Output, as_yaml, make_lossy, print_job, take_loss

EXIT_FAILED = 1

app = typer.Typer(
    help="Make PaddlePaddle models smaller, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(store_cli.app, name="store")
for command in (
    model_cli.inspect,
    model_cli.init,
    plan_cli.plan,
    home_cli.status,
    home_cli.logs,
    home_cli.report,
    home_cli.fetch,
):
    app.command()(command)


def _version(wanted: bool) -> None:
    if wanted:
        print(importlib.metadata.version("secateur"))  # noqa: T201
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of ``secateur`` itself; they are carried out by their callbacks."""


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="YAML file with one PruningJob.")],
    home: store_cli.HomeOption = Path(".secateur"),
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print the result.")] = Output.TABLE,
    code: Annotated[
        Path | None, typer.Option(help="Folder with your Python modules.", callback=store_cli.expanded)
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Reuse no result; measure all again.")] = False,
) -> None:
    """Run a PruningJob on this machine; interrupted, the same command goes on where it was.

    Exit code: 0 Succeeded, 1 Failed, 2 the file is wrong or the home cannot be used, 130 interrupted.
    """
    need("jobs", "secateur run")
    os.environ[code_digest.APART] = code_digest.apart(file)  # the stages' processes inherit it
    try:
        job = pinned(read_job(file), file.absolute().parent, code)
        ending = _run(local_run.made_fresh(job) if fresh else job, home)
    except InvalidResource as error:
        wrong(*(f"{file}: {problem}" for problem in error.problems))
    except HomeError as error:
        wrong(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if ending.interrupted:
        print("interrupted; run the same command again to continue", file=sys.stderr)  # noqa: T201
        raise typer.Exit(EXIT_INTERRUPTED)
    print_job(ending.job, output)
    lost = take_loss()
    if lost:
        say(f"the result cannot be written to stdout: {lost}; it is kept in {home}")
    raise typer.Exit(0 if ending.job.status.phase is Phase.SUCCEEDED else EXIT_FAILED)


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help="YAML files with one PruningJob each.")],
) -> None:
    """Check PruningJobs without running them; exit code 2 if any is wrong."""
    problems: list[str] = []
    for file in files:
        try:
            read_job(file)
        except InvalidResource as error:
            problems += [f"{file}: {problem}" for problem in error.problems]
        else:
            print(f"{file}: valid")  # noqa: T201
    if problems:
        wrong(*problems)


@app.command()
def crd() -> None:
    """Print the CustomResourceDefinition."""
    sys.stdout.write(as_yaml(build_crd()))


@app.command(context_settings={"auto_envvar_prefix": "SECATEUR"})
def operator(
    namespace: Annotated[
        list[str] | None,
        typer.Option(envvar="SECATEUR_NAMESPACES", help="Namespace to serve; repeatable. None: all."),
    ] = None,
    selector: Annotated[
        str, typer.Option(help="Labels of the PruningJobs to serve: key=value,... None: all.")
    ] = "",
    max_running: Annotated[
        int,
        typer.Option(
            min=0, help="PruningJobs that run at a time in each namespace; the others wait. 0: all run."
        ),
    ] = Settings.max_running,
    store_claim: Annotated[str | None, typer.Option(help="Default store: a PersistentVolumeClaim.")] = None,
    store_uri: Annotated[str | None, typer.Option(help="Default store: s3://bucket/prefix ...")] = None,
    store_secret: Annotated[
        str | None, typer.Option(help="Secret with the default store's credentials.")
    ] = None,
    image: Annotated[str | None, typer.Option(help="Image of the stages where a job names none.")] = None,
    image_pull_policy: Annotated[PullPolicy | None, typer.Option(help="For the stages' pods.")] = None,
    image_pull_secret: Annotated[
        list[str] | None,
        typer.Option(envvar="SECATEUR_IMAGE_PULL_SECRETS", help="Secret to pull the image with; repeatable."),
    ] = None,
    job_ttl: Annotated[
        int, typer.Option(min=0, help="Seconds until a finished Job is deleted.")
    ] = Settings.job_ttl_seconds,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Passes at a time.")] = Settings.workers,
    leader_elect: Annotated[
        bool, typer.Option(help="Let a Lease decide which replica works.")
    ] = Settings.leader_elect,
    lease_name: Annotated[str, typer.Option(help="Name of the Lease.")] = Settings.lease_name,
    lease_namespace: Annotated[
        str | None, typer.Option(help="Its namespace. Default: the operator's own.")
    ] = None,
    metrics_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of /metrics.")
    ] = Settings.metrics_port,
    health_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of /livez and /readyz.")
    ] = Settings.health_port,
    log_format: Annotated[
        LogFormat, typer.Option(help="json for machines, text for people.")
    ] = Settings.log_format,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Also log what is not news.")] = False,
) -> None:
    """Run PruningJobs on a Kubernetes cluster: the one of KUBECONFIG, else the one that this pod is in.

    Exit code: 0 stopped by a signal, 1 the lease or a watch was lost, 2 a setting is wrong.
    """
    need("operator", "secateur operator")
    from secateur_operator.cluster import main as cluster_operator  # slow to import, and only needed here

    try:
        settings = Settings(
            namespaces=tuple(namespace or ()),
            selector=selector_of(selector),
            max_running=max_running,
            store=store_of(store_claim, store_uri, store_secret),
            image=image,
            image_pull_policy=image_pull_policy,
            image_pull_secrets=tuple(image_pull_secret or ()),
            job_ttl_seconds=job_ttl,
            workers=workers,
            leader_elect=leader_elect,
            lease_name=lease_name,
            lease_namespace=lease_namespace,
            metrics_port=metrics_port,
            health_port=health_port,
            log_format=log_format,
            verbose=verbose,
        )
        code = cluster_operator.run(settings)
    except SettingsError as error:
        wrong(str(error))
    raise typer.Exit(code)


def _run(job: PruningJob, path: Path) -> local_run.Ending:
    errors = Console(stderr=True)
    pretty = RichHandler(console=errors, show_time=False, show_path=False)
    handler = pretty if errors.is_terminal else logging.StreamHandler()  # in a pipe a line stays one line
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger(reconciler.__name__).setLevel(logging.ERROR)  # the view shows events
    home = Home(path)
    try:
        submitted = local_run.submit(home, job)
        with LiveView(errors) if errors.is_terminal else PlainView(say) as view:
            return local_run.run(home, submitted, view.update)
    finally:
        home.close()


def main() -> None:
    """Entry point of the console script."""
    make_lossy()
    code: str | int | None = 0
    try:
        # kubectl calls a plug-in by its file; people read what they typed
        app(prog_name="kubectl secateur" if Path(sys.argv[0]).name == "kubectl-secateur" else None)
    except SystemExit as end:
        code = end.code
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: how it went is what the exit code says
    lost = take_loss()
    if lost:
        say(f"the output cannot be written: {lost}")
    sys.exit(code or (EXIT_FAILED if lost else 0))


if __name__ == "__main__":
    main()
