"""The before/after table: every quantity of the unpruned and the pruned model, with its relative change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from secateur_api.quantity import show_bytes, show_count, show_seconds
from secateur_api.results import Artifact
from secateur_api.spec import Backend, Format, Goal, target_name
from secateur_api.status import NOT_MEASURED
from secateur_jobs.report import numerals
from secateur_jobs.report.evidence import Evidence, Measured


@dataclass(frozen=True)
class Row:
    """One quantity; ``trend`` is ``better``, ``worse``, ``equal`` or empty where it cannot be said."""

    label: str
    before: str
    after: str
    change: str
    trend: str


@dataclass(frozen=True)
class Section:
    """Quantities that belong together."""

    title: str
    rows: list[Row]


def compare(evidence: Evidence) -> list[Section]:
    """Lay out the network, each model file, and each benchmark."""
    sections = [Section("Network, in Paddle", _network(evidence))]
    files = _files(evidence)
    if files:
        sections.append(Section("Model file", files))
    for measured in evidence.measured:
        run = measured.outcome
        title = f"{target_name(run.format, run.backend)} on {run.device}"
        sections.append(Section(title, benchmark_rows(measured, evidence)))
    return sections


def _network(evidence: Evidence) -> list[Row]:
    base = evidence.preflight.baseline
    chosen = evidence.model.outcome.numbers if evidence.model else None
    evaluation = evidence.spec.evaluation
    metric = _row(
        numerals.metric_name(evaluation),
        base.metric,
        chosen.metric if chosen else None,
        lambda value: numerals.metric_value(value, evaluation),
        more_is_better=evaluation.goal is Goal.MAXIMIZE,
        digits=2,
    )
    if not evidence.spec.has_labels:
        metric = replace(metric, before=f"{metric.before} by definition")
    return [
        metric,
        _row("MACs", base.macs, chosen.macs if chosen else None, show_count),
        _row("parameters", base.params, chosen.params if chosen else None, show_count),
        *_drifts(evidence),
    ]


def _drifts(evidence: Evidence) -> list[Row]:
    """Return how far each output moved that the metric does not judge, in shares of its mean square."""
    moved = evidence.model.outcome.drift if evidence.model else {}
    return [
        Row(f"output {name}, which no metric judges", "", f"moved by {numerals.share(error, 2)}", "", "")
        for name, error in moved.items()
    ]


def _files(evidence: Evidence) -> list[Row]:
    def key(artifact: Artifact) -> tuple[Format, Backend | None]:
        return artifact.format, artifact.backend

    before = {key(a): a.bytes for a in evidence.baseline_artifacts}
    after = {key(a): a.bytes for a in evidence.pruned_artifacts}
    return [
        _row(target_name(*which), before.get(which), after.get(which), show_bytes)
        for which in dict.fromkeys([*before, *after])
    ]


def benchmark_rows(measured: Measured, evidence: Evidence) -> list[Row]:
    """Return the rows of one benchmark: the converted models' metric first, then what was timed."""
    run, evaluation = measured.outcome, evidence.spec.evaluation
    before, after = run.baseline, run.pruned
    return [
        _row(
            f"{numerals.metric_name(evaluation)}, converted",
            before.metric,
            after.metric,
            lambda value: numerals.metric_value(value, evaluation),
            more_is_better=evaluation.goal is Goal.MAXIMIZE,
            digits=2,
        ),
        _row("latency p50", before.p50_seconds, after.p50_seconds, show_seconds),
        _row("latency p90", before.p90_seconds, after.p90_seconds, show_seconds),
        _row("peak memory", before.peak_memory_bytes, after.peak_memory_bytes, show_bytes),
        Row(
            "speed-up (median of pairs)", "", numerals.factor(run.speedup), "", _trend(1.0, run.speedup, True)
        ),
    ]


def _row(
    label: str,
    before: float | None,
    after: float | None,
    show: Callable[[float], str],
    more_is_better: bool = False,
    digits: int = 1,
) -> Row:
    old, new = (NOT_MEASURED if value is None else show(value) for value in (before, after))
    if before is None or after is None:
        return Row(label, old, new, "", "")
    change = numerals.signed_share((after - before) / abs(before), digits) if before else ""
    return Row(label, old, new, change, _trend(before, after, more_is_better))


def _trend(before: float, after: float, more_is_better: bool) -> str:
    if before == after:
        return "equal"
    return "better" if (after > before) == more_is_better else "worse"
