"""Many resources: ``python -m tests.bench.scale [--ended 1250] [--unsettled 750] [--rate 200]``.

A control plane of its own with kwok, as tests.bench.throughput has. It is filled with PruningJobs that have
ended, eight finished Jobs each, and with PruningJobs whose first stage runs. The operator starts, with the
finished Jobs' pods and without: time until it is ready, memory. Then what runs is changed at a steady rate:
time from an event to the start of its pass. Then nothing happens, and requests are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.cluster import traffic
from tests.bench.cluster.client import PODS, Client, each
from tests.bench.cluster.history import leave, past
from tests.bench.cluster.metrics import Metrics
from tests.bench.cluster.operator import Operator
from tests.bench.cluster.report import MIB, goal, machine, percentile, spread, table
from tests.bench.cluster.starting import OwnCluster, namespace, own_cluster
from tests.bench.cluster.storm import Storm, storm, targets
from tests.bench.cluster.workload import STEPS, document
from tests.bench.throughput import QUIET_SECONDS, idle

NAMESPACE = "bench"
COLLECTION = f"/apis/secateur.dev/v1alpha1/namespaces/{NAMESPACE}/pruningjobs"
FOR_EVER = 86400.0
ENDED = "fieldSelector=status.phase=Succeeded"
LOOK_SECONDS = 1.0


@dataclass
class Figures:
    """What was measured."""

    ready_bytes: int
    """Resident when ready."""
    storm: Storm
    storm_cpu: float
    """Cores in use meanwhile."""
    added: Metrics
    """What the operator's metrics counted meanwhile."""
    quiet: Metrics


async def fill(cluster: OwnCluster, ended: int, unsettled: list[str]) -> None:
    """Make the PruningJobs that have ended, and then those that run."""
    api = cluster.api
    history = await asyncio.to_thread(past, NAMESPACE)  # it has an event loop of its own
    names = [f"past-{number:04d}" for number in range(ended)]
    await each(names, lambda name: leave(api, history, NAMESPACE, name))
    with cluster.pods(FOR_EVER), cluster.operator():
        await each(unsettled, lambda name: submit(api, name))
        await count(api, f"{PODS}?fieldSelector=status.phase=Running", len(unsettled))


async def submit(api: Client, name: str) -> None:
    """Create a PruningJob."""
    await api.create(COLLECTION, document(NAMESPACE, name))


async def count(api: Client, path: str, wanted: int) -> None:
    """Wait until a collection has so many objects."""
    while len(await api.items(path, metadata_only=True)) != wanted:
        await asyncio.sleep(LOOK_SECONDS)


async def observe(api: Client, running: Operator, rate: float, seconds: float) -> Figures:
    """Measure an operator that is ready."""
    memory = running.memory()
    await calm(running)
    before, cpu = running.metrics(), running.cpu_seconds()
    found = await storm(api, COLLECTION, await targets(api, COLLECTION), rate, seconds)
    cpu = (running.cpu_seconds() - cpu) / found.seconds
    return Figures(memory, found, cpu, running.metrics().since(before), await idle(running))


async def calm(running: Operator) -> None:
    """Wait until the operator has looked at everything once."""
    while running.metrics().total("secateur_queue_oldest_seconds") > 0:
        await asyncio.sleep(LOOK_SECONDS)


def report(where: str, rate: float, found: Figures, running: Operator, crowded: str) -> str:
    """Return the tables."""
    answers = found.storm.answers
    wait = found.added.quantile(traffic.WAIT, 0.99)
    goals = [
        goal("start to ready", running.seconds_to_ready, 15, "s"),
        goal("resident memory, at most", running.peak_memory() / MIB, 256, "MiB"),
        goal("event to start of pass, p99", wait, 2, "s"),
        goal("changed spec to status seen by a client, p99", percentile(answers, 0.99), 2, "s"),
    ]
    passes = found.added.total("secateur_reconcile_seconds_count") / found.storm.seconds
    rows: list[list[Any]] = [
        ["updates per second, asked and done", f"{rate:g}, {found.storm.updates / found.storm.seconds:.0f}"],
        ["event to start of pass, p50 / p90 / p99 at most s", traffic.waits(found.added)],
        ["changed spec to status seen, p50 / p90 / p99 / largest s", " / ".join(spread(answers))],
        ["changed specs", len(answers)],
        ["passes per second meanwhile", f"{passes:.0f}"],
        ["operator's cores in use meanwhile", f"{found.storm_cpu:.2f}"],
        ["resident MiB when ready, now", f"{found.ready_bytes / MIB:.0f}, {running.memory() / MIB:.0f}"],
        ["with the finished Jobs' pods too: s to ready, MiB", crowded],
        ["requests per second afterwards", f"{found.quiet.total(traffic.REQUESTS) / QUIET_SECONDS:.1f}"],
        ["log lines that are no information", len(running.complaints())],
    ]
    return "\n\n".join(
        [
            where,
            table(["goal", "measured", "asked", "holds"], goals),
            table(["figure", "value"], rows),
            traffic.by_kind(found.added, found.storm.updates, "per update"),
            traffic.by_kind(found.quiet, QUIET_SECONDS, "per second"),
            *running.complaints()[:5],
        ]
    )


async def measure(options: argparse.Namespace, folder: Path) -> str:
    """Fill a cluster, start the operator, and return what was measured, as Markdown."""
    jobs = options.ended * len(STEPS)
    where = (
        f"{machine()}; {options.ended + options.unsettled} PruningJobs, {options.unsettled} of them running; "
        f"{jobs} finished Jobs"
    )
    unsettled = [f"live-{number:04d}" for number in range(options.unsettled)]
    async with own_cluster(folder) as cluster:
        await namespace(cluster.api, NAMESPACE)
        await fill(cluster, options.ended, unsettled)
        with cluster.pods(FOR_EVER):
            with cluster.operator() as running:
                crowded = f"{running.seconds_to_ready:.1f}, {running.memory() / MIB:.0f}"
            await cluster.api.delete(f"/api/v1/namespaces/{NAMESPACE}/pods?{ENDED}")
            await count(cluster.api, f"{PODS}?{ENDED}", 0)
            with cluster.operator() as running:
                found = await observe(cluster.api, running, options.rate, options.seconds)
                return report(where, options.rate, found, running, crowded)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ended", type=int, default=1250, help="PruningJobs that have ended, of 8 Jobs each")
    parser.add_argument("--unsettled", type=int, default=750, help="PruningJobs that run")
    parser.add_argument("--rate", type=float, default=200.0, help="updates per second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they come")
    parser.add_argument("--keep", type=Path, help="leave logs in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="secateur-bench-") as temporary:
        print(asyncio.run(measure(options, options.keep or Path(temporary))))


if __name__ == "__main__":
    main()
