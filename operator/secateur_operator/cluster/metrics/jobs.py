"""Metrics of each PruningJob, made at each scrape from what was last heard; gone with the resource."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from secateur_api.conditions import Phase
from secateur_operator.gateway.protocol import Key

Body = Mapping[str, Any]


class Benchmark(NamedTuple):
    """One device and format."""

    device: str
    format: str
    """``onnx``, ``paddle-lite/x86``."""
    baseline_p50: float
    pruned_p50: float
    speedup: float


@dataclass(frozen=True)
class Facts:
    """What is shown of one PruningJob."""

    phase: str
    percent: float
    baseline: float | None
    current: float | None
    """The metric of the model that would be converted now."""
    macs_cut: float | None
    drop: float | None
    benchmarks: tuple[Benchmark, ...]


def facts_of(body: Body) -> Facts:
    """Read a PruningJob as the API gives it; what it does not say is None. Pure."""
    status = body.get("status") or {}
    outcome = _candidate(status)
    return Facts(
        phase=status.get("phase") or Phase.PENDING.value,
        percent=status.get("percent") or 0.0,
        baseline=_dig(status, "preflight", "baseline", "metric"),
        current=_dig(outcome, "numbers", "metric"),
        macs_cut=outcome.get("cutMacs"),
        drop=outcome.get("drop"),
        benchmarks=tuple(_benchmark(one) for one in status.get("benchmarks") or []),
    )


def _candidate(status: Body) -> Body:
    """Return the outcome of the round whose model would be converted: ``rounds.candidate`` on raw JSON."""
    rounds = status.get("rounds") or []
    accepted = [one["outcome"] for one in rounds if one["accepted"]]
    outcomes = [one["outcome"] for one in rounds]
    nothing: Body = {}
    return accepted[-1] if accepted else min(outcomes, key=lambda one: one["drop"], default=nothing)


def _benchmark(one: Body) -> Benchmark:
    backend = one.get("backend")
    return Benchmark(
        one["device"],
        f"{one['format']}/{backend}" if backend else one["format"],
        one["baseline"]["p50Seconds"],
        one["pruned"]["p50Seconds"],
        one["speedup"],
    )


def _dig(value: Any, *path: str) -> float | None:
    for part in path:
        value = (value or {}).get(part)
    found: float | None = value
    return found


@dataclass(frozen=True)
class _Heard:
    facts: Facts
    at: float


class JobMetrics(Collector):
    """Implements the watches' Listener."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._jobs: dict[Key, _Heard] = {}

    def heard_pruningjob(self, body: Body, gone: bool = False) -> None:
        """Take over what a watch says."""
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        if gone:
            self._jobs.pop(key, None)
        else:
            self._jobs[key] = _Heard(facts_of(body), self._clock())

    def heard_job(self, body: Body, gone: bool = False) -> None:
        """Jobs say nothing of a PruningJob."""

    def heard_pod(self, body: Body, gone: bool = False) -> None:
        """Pods say nothing of a PruningJob."""

    def listed(self, keys: Iterable[Key], began: float) -> None:
        """Forget what a listing that began then did not find: its deletion fell into a gap of the watch."""
        there = set(keys)
        for key, heard in list(self._jobs.items()):
            if key not in there and heard.at < began:
                del self._jobs[key]

    def collect(self) -> Iterator[Metric]:
        """Make the series; called at each scrape, in another thread."""
        jobs = {key: heard.facts for key, heard in list(self._jobs.items())}
        yield _phases(jobs)
        yield from _numbers(jobs)
        yield from _latencies(jobs)


def _phases(jobs: Mapping[Key, Facts]) -> Metric:
    family = GaugeMetricFamily("secateur_jobs", "PruningJobs by phase.", labels=["namespace", "phase"])
    counts = Counter((key.namespace, facts.phase) for key, facts in jobs.items())
    for namespace in sorted({key.namespace for key in jobs}):
        for phase in Phase:
            family.add_metric([namespace, phase.value], counts[namespace, phase.value])
    return family


def _numbers(jobs: Mapping[Key, Facts]) -> Iterator[Metric]:
    which = ["namespace", "name"]
    phase = GaugeMetricFamily("secateur_job_phase", "1: its phase.", labels=[*which, "phase"])
    percent = GaugeMetricFamily("secateur_job_percent", "How much of a job is done, 0..100.", labels=which)
    metric = GaugeMetricFamily(
        "secateur_job_metric",
        "The job's metric: of the unpruned model, and of the best so far.",
        labels=[*which, "which"],
    )
    cut = GaugeMetricFamily("secateur_job_macs_cut_ratio", "Share of MACs that is cut, 0..1.", labels=which)
    drop = GaugeMetricFamily(
        "secateur_job_accuracy_drop_ratio",
        "Relative drop of the metric from the baseline's, at the gate.",
        labels=which,
    )
    for key, facts in jobs.items():
        phase.add_metric([*key, facts.phase], 1)
        percent.add_metric([*key], facts.percent)
        for family, labels, value in (
            (metric, [*key, "baseline"], facts.baseline),
            (metric, [*key, "current"], facts.current),
            (cut, [*key], facts.macs_cut),
            (drop, [*key], facts.drop),
        ):
            if value is not None:
                family.add_metric(labels, value)
    yield from (phase, percent, metric, cut, drop)


def _latencies(jobs: Mapping[Key, Facts]) -> Iterator[Metric]:
    where = ["device", "format"]
    latency = GaugeMetricFamily(
        "secateur_job_latency_p50_seconds",
        "Median latency on a device.",
        labels=["namespace", "name", "which", *where],
    )
    speedup = GaugeMetricFamily(
        "secateur_job_speedup_ratio",
        "How many times faster the pruned model is.",
        labels=["namespace", "name", *where],
    )
    for key, facts in jobs.items():
        for one in facts.benchmarks:
            latency.add_metric([*key, "baseline", one.device, one.format], one.baseline_p50)
            latency.add_metric([*key, "pruned", one.device, one.format], one.pruned_p50)
            speedup.add_metric([*key, one.device, one.format], one.speedup)
    yield latency
    yield speedup
