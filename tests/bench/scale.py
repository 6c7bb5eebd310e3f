"""Many resources: ``python -m tests.bench.scale [--ended 1250] [--unsettled 750] [--updates 100 200:0.15]``.

A control plane of its own with kwok, as tests.bench.throughput has. It is filled with PruningJobs that have
ended, eight finished Jobs each, and with PruningJobs whose first stage runs. The operator starts, with the
finished Jobs' pods and without: time until it is ready, memory. Then what runs is changed at steady rates,
with Kubernetes' own controllers paused: time from an event to the start of its pass. Then nothing happens,
and requests are counted.
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
from tests.bench.cluster.report import MIB, goal, machine, spread, table
from tests.bench.cluster.starting import OwnCluster, namespace, own_cluster
from tests.bench.cluster.storm import Storm, storm, targets
from tests.bench.cluster.workload import STEPS, document
from tests.bench.throughput import QUIET_SECONDS, idle

NAMESPACE = "bench"
COLLECTION = f"/apis/secateur.dev/v1alpha1/namespaces/{NAMESPACE}/pruningjobs"
FOR_EVER = 86400.0
ENDED = "fieldSelector=status.phase=Succeeded"
LOOK_SECONDS = 1.0
LIKE_A_RUN = 0.15
"""Share of the watch events of a run that need a pass; tests.bench.throughput measures it."""


@dataclass
class Weather:
    """Updates at one rate, and what they did to the operator."""

    rate: float
    """Per second, as asked for."""
    needing: float
    """Share of the updates that needs a look."""
    storm: Storm
    cores: float
    """In use by the operator meanwhile."""
    added: Metrics
    """What the operator's metrics counted meanwhile."""

    def row(self) -> list[str]:
        """Return a line of the table."""
        passes = self.added.total("secateur_reconcile_seconds_count") / self.storm.seconds
        answers = " / ".join(spread(self.storm.answers)[:3])
        done = f"{self.storm.updates / self.storm.seconds:.0f}"
        return [
            f"{self.rate:g}",
            f"{self.needing:.0%}",
            done,
            traffic.waits(self.added),
            answers,
            f"{passes:.0f}",
            f"{self.cores:.2f}",
        ]


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


async def weather(api: Client, running: Operator, rate: float, needing: float, seconds: float) -> Weather:
    """Update what runs, and measure."""
    await calm(running)
    before, cpu = running.metrics(), running.cpu_seconds()
    found = await storm(api, COLLECTION, await targets(api, COLLECTION), rate, needing, seconds)
    cores = (running.cpu_seconds() - cpu) / found.seconds
    return Weather(rate, needing, found, cores, running.metrics().since(before))


async def calm(running: Operator) -> None:
    """Wait until the operator has looked at everything once."""
    while running.metrics().total("secateur_queue_oldest_seconds") > 0:
        await asyncio.sleep(LOOK_SECONDS)


def report(running: Operator, ready_bytes: int, crowded: str, found: list[Weather], quiet: Metrics) -> str:
    """Return the tables."""
    most = found[-1]
    goals = [
        goal("start to ready", running.seconds_to_ready, 15, "s"),
        goal("resident memory, at most", running.peak_memory() / MIB, 256, "MiB"),
        *(
            goal(
                f"event to start of pass, p99, {one.rate:g}/s of which {one.needing:.0%} need a pass",
                one.added.quantile(traffic.WAIT, 0.99),
                2,
                "s",
            )
            for one in found
        ),
    ]
    rows: list[list[Any]] = [
        ["resident MiB when ready, now", f"{ready_bytes / MIB:.0f}, {running.memory() / MIB:.0f}"],
        ["with the finished Jobs' pods too: s to ready, MiB", crowded],
        ["requests per second afterwards", f"{quiet.total(traffic.REQUESTS) / QUIET_SECONDS:.1f}"],
        ["log lines that are no information", len(running.complaints())],
    ]
    return "\n\n".join(
        [
            table(["goal", "measured", "asked", "holds"], goals),
            table(["figure", "value"], rows),
            "p50 / p90 / p99 in seconds; of the histogram, each is a bucket's upper bound:",
            table(_WEATHER, [one.row() for one in found]),
            traffic.by_kind(most.added, most.storm.updates, "per update"),
            traffic.by_kind(quiet, QUIET_SECONDS, "per second"),
            *running.complaints()[:5],
        ]
    )


_WEATHER = [
    "updates/s asked",
    "need a pass",
    "done",
    "event to start of pass",
    "changed spec to status seen by a client",
    "passes/s",
    "operator's cores",
]


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
                ready_bytes = running.memory()
                with cluster.without_controllers():
                    found = [
                        await weather(cluster.api, running, *one, options.seconds) for one in options.updates
                    ]
                return f"{where}\n\n" + report(running, ready_bytes, crowded, found, await idle(running))


def _updates(text: str) -> tuple[float, float]:
    rate, _, needing = text.partition(":")
    return float(rate), float(needing or 1)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ended", type=int, default=1250, help="PruningJobs that have ended, of 8 Jobs each")
    parser.add_argument("--unsettled", type=int, default=750, help="PruningJobs that run")
    parser.add_argument(
        "--updates",
        type=_updates,
        nargs="+",
        default=[(200.0, LIKE_A_RUN), (50.0, 1.0), (100.0, 1.0), (200.0, 1.0)],
        help="per second, and the share of them that needs a pass (200:0.15), one after the other",
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each")
    parser.add_argument("--keep", type=Path, help="leave logs in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="secateur-bench-") as temporary:
        print(asyncio.run(measure(options, options.keep or Path(temporary))))


if __name__ == "__main__":
    main()
