"""Many whole jobs at once: ``python -m tests.bench.throughput [--jobs 1000] [--run-seconds 1]``.

A control plane of its own (etcd, API server, controllers, scheduler), the real operator, and kwok in place of
kubelets: each of the eight stages of a job is a real Job whose pod has no containers and ends after
``--run-seconds`` with that stage's message. An own watch counts the Jobs that were created.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.cluster import traffic
from tests.bench.cluster.client import PRUNING_JOBS, Client, each
from tests.bench.cluster.creations import Creations, counted
from tests.bench.cluster.metrics import Metrics
from tests.bench.cluster.operator import Operator
from tests.bench.cluster.report import MIB, goal, machine, table
from tests.bench.cluster.starting import namespace, own_cluster
from tests.bench.cluster.workload import STEPS, document

NAMESPACE = "bench"
COLLECTION = f"/apis/secateur.dev/v1alpha1/namespaces/{NAMESPACE}/pruningjobs"
LOOK_SECONDS = 1.0
SETTLE_SECONDS = 15.0
"""After the last job's end, before requests are counted for QUIET_SECONDS."""
QUIET_SECONDS = 60.0


@dataclass
class Run:
    """What was measured while the jobs ran."""

    submitted: float
    """Seconds until all PruningJobs were created."""
    wall: float
    """Seconds from the first one's creation until all had ended."""
    cpu: float
    """CPU seconds of the operator."""
    added: Metrics
    """What its metrics counted."""


async def run_jobs(api: Client, running: Operator, names: list[str], limit: float) -> Run:
    """Create the PruningJobs and wait until the operator counts them all as ended."""
    before, cpu, begin = running.metrics(), running.cpu_seconds(), time.monotonic()

    async def submit(name: str) -> None:
        await api.create(COLLECTION, document(NAMESPACE, name))

    await each(names, submit)
    submitted = time.monotonic() - begin
    while (ended := _ended(running.metrics())) < len(names):
        if time.monotonic() - begin > limit:
            raise SystemExit(f"after {limit:.0f} s {ended:.0f} of {len(names)} jobs have ended")
        await asyncio.sleep(LOOK_SECONDS)
    wall = time.monotonic() - begin
    return Run(submitted, wall, running.cpu_seconds() - cpu, running.metrics().since(before))


def _ended(metrics: Metrics) -> float:
    phases = metrics.by("secateur_jobs", "phase")
    return phases.get(("Succeeded",), 0.0) + phases.get(("Failed",), 0.0)


async def idle(running: Operator) -> Metrics:
    """Return what the operator's metrics count while nothing happens."""
    await asyncio.sleep(SETTLE_SECONDS)
    before = running.metrics()
    await asyncio.sleep(QUIET_SECONDS)
    return running.metrics().since(before)


def wrong(found: dict[str, Any]) -> str | None:
    """Say what is wrong with a job's end, if anything is."""
    status = found.get("status", {})
    steps = [(done["name"], done.get("round"), done["attempt"]) for done in status.get("stages", [])]
    if status.get("phase") == "Succeeded" and steps == [(s.stage.value, s.round, 1) for s in STEPS]:
        return None
    return f"{found['metadata']['name']}: {status.get('phase')}: {status.get('message')}: {steps}"


def goals(names: list[str], run: Run, quiet: Metrics, creations: Creations, problems: list[str]) -> str:
    """Return the table of what was asked for."""
    writes = run.added.total(traffic.REQUESTS, traffic.is_write) / (len(names) * len(STEPS))
    requests = quiet.total(traffic.REQUESTS) / QUIET_SECONDS
    rows = [
        goal("Jobs created beyond one per stage", creations.duplicates(), 0, ""),
        goal("stages that never got a Job", creations.lost(names), 0, ""),
        goal("PruningJobs not Succeeded in eight first attempts", len(problems), 0, ""),
        goal("writes per stage, without events", writes, 6, ""),
        goal("requests per second when all has ended", requests, 5, ""),
    ]
    return table(["goal", "measured", "asked", "holds"], rows)


def figures(names: list[str], run: Run, running: Operator, heard: int) -> str:
    """Return the table of everything else."""
    stages = len(names) * len(STEPS)
    passes = run.added.total("secateur_reconcile_seconds_count")
    rows: list[list[object]] = [
        ["jobs, stages", f"{len(names)}, {stages}"],
        ["all submitted after s, all ended after s", f"{run.submitted:.0f}, {run.wall:.0f}"],
        ["jobs per minute, stages per second", f"{60 * len(names) / run.wall:.0f}, {stages / run.wall:.1f}"],
        ["watch events per stage, passes per watch event", f"{heard / stages:.1f}, {passes / heard:.2f}"],
        ["operator: CPU s, cores in use", f"{run.cpu:.0f}, {run.cpu / run.wall:.2f}"],
        ["operator: MiB now, peak", f"{running.memory() / MIB:.0f}, {running.peak_memory() / MIB:.0f}"],
        ["log lines that are no information", len(running.complaints())],
    ]
    return table(["figure", "value"], rows)


async def measure(options: argparse.Namespace, folder: Path) -> str:
    """Run the jobs and return what was measured, as Markdown."""
    where = f"{machine()}; pods end after {options.run_seconds:g} s"
    names = [f"job-{number:04d}" for number in range(options.jobs)]
    async with own_cluster(folder) as cluster:
        api = cluster.api
        await namespace(api, NAMESPACE)
        with cluster.pods(options.run_seconds), cluster.operator() as running:
            async with counted(api) as creations:
                run = await run_jobs(api, running, names, options.limit)
            quiet = await idle(running)
            ended = await api.items(PRUNING_JOBS)
            problems = [text for one in ended if (text := wrong(one)) is not None]
            return "\n\n".join(
                [
                    where,
                    goals(names, run, quiet, creations, problems),
                    figures(names, run, running, creations.heard),
                    traffic.by_kind(run.added, len(names) * len(STEPS), "per stage"),
                    traffic.by_kind(quiet, QUIET_SECONDS, "per second"),
                    *problems[:5],
                    *running.complaints()[:5],
                ]
            )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--run-seconds", type=float, default=1.0, help="how long a pod runs")
    parser.add_argument("--limit", type=float, default=3600.0, help="give up after so many seconds")
    parser.add_argument("--keep", type=Path, help="leave logs in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="secateur-bench-") as temporary:
        print(asyncio.run(measure(options, options.keep or Path(temporary))))


if __name__ == "__main__":
    main()
