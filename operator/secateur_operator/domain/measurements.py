"""Which measurements a constraint selects."""

from __future__ import annotations

from dataclasses import dataclass

from secateur_api import PruningJobStatus
from secateur_api.results import Artifact, BenchmarkOutcome
from secateur_api.spec import Backend, Constraint, Format, Metric
from secateur_operator.domain import rounds


@dataclass(frozen=True)
class Measurement:
    """One measured number: a fraction, seconds, bytes, a count or a factor."""

    value: float
    device: str | None = None
    format: Format | None = None
    backend: Backend | None = None
    interval: tuple[float, float] | None = None
    """Its 95 % interval, where it has one."""


def select(constraint: Constraint, status: PruningJobStatus) -> list[Measurement]:
    """Return every measurement that the constraint is judged by; empty if nothing was measured."""
    if constraint.metric in (Metric.MACS, Metric.PARAMS):
        return _counts(constraint, status)
    if constraint.metric is Metric.MODEL_SIZE and constraint.device is None:
        return [
            Measurement(artifact.bytes, None, artifact.format, artifact.backend)
            for artifact in status.converted
            if artifact.role == "pruned" and _selects(constraint, artifact)
        ]
    return [
        Measurement(
            _of_benchmark(constraint.metric, found),
            found.device,
            found.format,
            found.backend,
            _interval(constraint.metric, found),
        )
        for found in status.benchmarks
        if constraint.device in (None, found.device) and _selects(constraint, found)
    ]


def cuts(status: PruningJobStatus) -> dict[str, float]:
    """Return the share (0..1) of each target quantity that the candidate was measured to save.

    Latency is the first benchmark's, and absent before it has run.
    """
    chosen = rounds.candidate(status.rounds)
    if chosen is None:
        return {}
    outcome = chosen.outcome
    found = {"macs": outcome.cut_macs, "params": outcome.cut_params, "size": outcome.cut_size}
    if status.benchmarks:
        found["latency"] = 1 - 1 / status.benchmarks[0].speedup
    return found


def _selects(constraint: Constraint, found: Artifact | BenchmarkOutcome) -> bool:
    return constraint.format in (None, found.format) and constraint.backend in (None, found.backend)


def _interval(metric: Metric, found: BenchmarkOutcome) -> tuple[float, float] | None:
    if metric is not Metric.ACCURACY_DROP or found.drop_interval is None:
        return None
    low, high = found.drop_interval
    return low, high


def _of_benchmark(metric: Metric, found: BenchmarkOutcome) -> float:
    return {
        Metric.ACCURACY_DROP: found.drop,
        Metric.LATENCY_P50: found.pruned.p50_seconds,
        Metric.LATENCY_P90: found.pruned.p90_seconds,
        Metric.PEAK_MEMORY: float(found.pruned.peak_memory_bytes),
        Metric.MODEL_SIZE: float(found.pruned.bytes),
        Metric.SPEEDUP: found.speedup,
    }[metric]


def _counts(constraint: Constraint, status: PruningJobStatus) -> list[Measurement]:
    chosen = rounds.candidate(status.rounds)
    if chosen is None or status.preflight is None:
        return []
    before, after = status.preflight.baseline, chosen.outcome.numbers
    is_macs = constraint.metric is Metric.MACS
    count, whole = (after.macs, before.macs) if is_macs else (after.params, before.params)
    is_share = constraint.max is not None and constraint.max.endswith("%")
    return [Measurement(count / whole if is_share else float(count))]
