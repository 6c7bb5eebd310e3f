"""From one stage to the next on a real node: ``python -m tests.bench.overhead [--alone 5] [--rounds 3]``.

KUBECONFIG names a cluster for tests with real nodes that have ``--image``. The pods are real; their container
writes the stage's message and ends. One client watches: by its clock, from phase Succeeded of one stage's pod
to the creation of the next one's. First one job alone, repeated; then ten at once, repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cluster import operator, pods, traffic
from tests.bench.cluster.client import Client, connected, each
from tests.bench.cluster.gaps import Gap, watched
from tests.bench.cluster.operator import Operator
from tests.bench.cluster.report import MIB, goal, machine, percentile, spread, table
from tests.bench.cluster.starting import need_crd, new_namespace
from tests.bench.cluster.workload import STEPS, document
from tests.control_plane.access import own_cluster

RESOURCES = [{"cpu": "10m", "memory": "32Mi"}]
"""So that ten fit on a small node."""


@dataclass
class Case:
    """Jobs that run at the same time, and what was seen between their stages."""

    name: str
    gaps: list[Gap]
    writes: float
    """Per stage, without events."""


@dataclass
class Place:
    """Where the jobs run."""

    api: Client
    namespace: str
    image: str

    @property
    def collection(self) -> str:
        """The path of its PruningJobs."""
        return f"/apis/secateur.dev/v1alpha1/namespaces/{self.namespace}/pruningjobs"

    async def submit(self, name: str) -> None:
        """Create a PruningJob."""
        more = {"image": self.image, "template": pods.template(), "resources": RESOURCES}
        await self.api.create(self.collection, document(self.namespace, name, **more))

    async def until_succeeded(self, name: str) -> None:
        """Wait for its end; a job that fails ends the benchmark."""
        path = f"{self.collection}?fieldSelector=metadata.name={name}"
        ends = ("Succeeded", "Failed")
        ended = await self.api.wait(path, lambda found: found.get("status", {}).get("phase") in ends)
        if ended["status"]["phase"] != "Succeeded":
            raise SystemExit(f"{name}: {ended['status']['message']}")


async def run_case(place: Place, running: Operator, name: str, groups: list[list[str]]) -> Case:
    """Run groups of jobs, one group after the other."""
    before, jobs = running.metrics(), sum(len(group) for group in groups)
    async with watched(place.api, place.namespace) as seen:
        for group in groups:
            await each(group, place.submit, at_once=len(group))
            await each(group, place.until_succeeded, at_once=len(group))
        gaps = [gap for gap in seen.gaps() if any(gap.job in group for group in groups)]
    expected = jobs * (len(STEPS) - 1)
    if len(gaps) != expected:
        raise SystemExit(f"{name}: {len(gaps)} gaps were seen, not {expected}")
    added = running.metrics().since(before)
    return Case(name, gaps, added.total(traffic.REQUESTS, traffic.is_write) / (jobs * len(STEPS)))


def report(where: str, cases: list[Case], running: Operator) -> str:
    """Return the tables."""
    rows = [
        [case.name, len(case.gaps), *spread([gap.to_pod for gap in case.gaps]), f"{case.writes:.2f}"]
        for case in cases
    ]
    parts = [[case.name, *spread([gap.to_job for gap in case.gaps])] for case in cases]
    goals = [
        goal(f"{case.name}: {name}", percentile([gap.to_pod for gap in case.gaps], share), limit, "s")
        for case in cases
        for name, share, limit in (("p50", 0.5, 1.0), ("p99", 0.99, 3.0))
    ]
    memory = f"operator: {running.memory() / MIB:.0f} MiB, at most {running.peak_memory() / MIB:.0f} MiB"
    return "\n\n".join(
        [
            where,
            table(["goal", "measured", "asked", "holds"], goals),
            "Pod Succeeded to next pod created, seconds:",
            table(["case", "gaps", "p50", "p90", "p99", "largest", "writes per stage"], rows),
            "Of that, to the next Job created (the rest is the Job controller's), seconds:",
            table(["case", "p50", "p90", "p99", "largest"], parts),
            memory,
            *running.complaints()[:5],
        ]
    )


async def measure(options: argparse.Namespace, folder: Path) -> str:
    """Run both cases and return what was measured, as Markdown."""
    kubeconfig = own_cluster()
    if kubeconfig is None:
        raise SystemExit("KUBECONFIG must name a cluster for tests that has real nodes")
    where = f"{machine()}; image {options.image}"
    alone = [[f"alone-{number}"] for number in range(options.alone)]
    ten = [[f"ten-{round}-{number}" for number in range(10)] for round in range(options.rounds)]
    async with connected(kubeconfig) as api:
        await need_crd(api)
        async with new_namespace(api, options.namespace) as namespace:
            await api.create(f"/api/v1/namespaces/{namespace}/configmaps", pods.config_map())
            place = Place(api, namespace, options.image)
            own = (f"--namespace={namespace}", f"--lease-namespace={namespace}")
            with operator.running(kubeconfig, folder, *own) as running:
                cases = [
                    await run_case(place, running, "one job", alone),
                    await run_case(place, running, "ten at once", ten),
                ]
                return report(where, cases, running)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alone", type=int, default=5, help="jobs that run one after the other")
    parser.add_argument("--rounds", type=int, default=3, help="how often ten jobs run at once")
    parser.add_argument("--image", default="localhost/python:3.11", help="any image with /bin/sh and cat")
    parser.add_argument("--namespace", default="bench-overhead", help="how the new namespace's name begins")
    parser.add_argument("--keep", type=Path, help="leave logs in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="secateur-bench-") as temporary:
        print(asyncio.run(measure(options, options.keep or Path(temporary))))


if __name__ == "__main__":
    main()
