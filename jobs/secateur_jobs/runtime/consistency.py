"""Whether a stage's outcome follows from its own numbers: what is derived is derived again, and compared."""

from __future__ import annotations

import math
from collections.abc import Iterator

from secateur_api.results import BenchmarksOutcome, LatencySamples, RoundOutcome
from secateur_api.stage import StageInput, StageResult
from secateur_jobs.measure.drop import relative_drop
from secateur_jobs.measure.statistics import percentile, speedup
from secateur_jobs.runtime.store import Store

_NOISE = 1e-9
"""Of floats that were added in another order."""
_Pair = tuple[str, float, float]
"""Name, the stated value, and the one that follows."""


def contradiction(store: Store, request: StageInput, result: StageResult) -> str:
    """Say which field does not follow from the others; nothing where all do. Raises Damaged."""
    outcome = result.summary.outcome
    if result.summary.stage is not request.stage or getattr(outcome, request.stage.value) is None:
        return f"it has no {request.stage.value} outcome"
    pairs: list[_Pair] = []
    if outcome.round is not None:
        pairs += _round(store, request, outcome.round)
        if request.round is not None:
            pairs.append(("share", outcome.round.share, request.round.share))
    if outcome.benchmark is not None:
        pairs += _benchmarks(store, request, result, outcome.benchmark)
    for name, stated, follows in pairs:
        if not math.isclose(stated, follows, rel_tol=_NOISE, abs_tol=_NOISE):
            return f"{name} is {stated:g}, from its own numbers follows {follows:g}"
    return ""


def _round(store: Store, request: StageInput, outcome: RoundOutcome) -> Iterator[_Pair]:
    unit = request.upstream.preflight
    upstream = store.result(unit) if unit is not None else None
    before = upstream.summary.outcome.preflight if upstream is not None else None
    if before is None:
        return
    numbers, baseline = outcome.numbers, before.baseline
    goal = request.spec.evaluation.goal
    yield "drop", outcome.drop, relative_drop(before.choosing_metric, outcome.recovered, goal)
    yield "cutMacs", outcome.cut_macs, 1 - numbers.macs / baseline.macs
    yield "cutParams", outcome.cut_params, 1 - numbers.params / baseline.params
    yield "cutSize", outcome.cut_size, 1 - outcome.checkpoint_bytes / before.checkpoint_bytes
    if outcome.checkpoint is not None:
        yield "checkpointBytes", outcome.checkpoint_bytes, outcome.checkpoint.bytes


def _benchmarks(
    store: Store, request: StageInput, result: StageResult, outcome: BenchmarksOutcome
) -> Iterator[_Pair]:
    goal = request.spec.evaluation.goal
    for index, one in enumerate(outcome.benchmarks):
        name = f"benchmarks[{index}]"
        yield f"{name}.drop", one.drop, relative_drop(one.baseline.metric, one.pruned.metric, goal)
        ref = result.files.get(f"samples-{index}")
        if ref is None:
            continue
        samples = LatencySamples.model_validate_json(store.get(ref))
        yield f"{name}.runs", one.runs, len(samples.pruned_seconds)
        yield f"{name}.speedup", one.speedup, speedup(samples.baseline_seconds, samples.pruned_seconds)
        for role, numbers, seconds in (
            ("baseline", one.baseline, samples.baseline_seconds),
            ("pruned", one.pruned, samples.pruned_seconds),
        ):
            yield f"{name}.{role}.p50Seconds", numbers.p50_seconds, percentile(seconds, 50)
            yield f"{name}.{role}.p90Seconds", numbers.p90_seconds, percentile(seconds, 90)
