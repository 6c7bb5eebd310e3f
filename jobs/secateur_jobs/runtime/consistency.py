"""Whether a stage's outcome follows from its own numbers: what is derived is derived again, and compared.

So is what it says of files: each that it names is one of its own, and their sizes are those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from secateur_api.results import (
    Artifact,
    BenchmarkOutcome,
    BenchmarksOutcome,
    ConvertOutcome,
    FileRef,
    LatencySamples,
    Manifest,
    PrecisionTable,
    RoundOutcome,
    RoundPlan,
    StageOutcome,
)
from secateur_api.stage import StageInput, StageResult
from secateur_jobs.measure.statistics import percentile, relative_drop, speedup
from secateur_jobs.runtime.store import Store
from secateur_jobs.runtime.users_modules import changed

_NOISE = 1e-9
"""Of floats that were added in another order."""
_Pair = tuple[str, float, float]
"""Name, the stated value, and the one that follows."""


def contradiction(store: Store, request: StageInput, result: StageResult) -> str:
    """Say which field does not follow from the others; nothing where all do. Raises Damaged."""
    outcome = result.summary.outcome
    if result.summary.stage is not request.stage or getattr(outcome, request.stage.value) is None:
        return f"it has no {request.stage.value} outcome"
    edited = changed(result.modules)
    if edited is not None:
        return f"it was made with another {edited}"
    unit = str(result.summary.unit)
    own = {(ref.path, ref.sha256, ref.bytes) for ref in result.files.values()}
    for file in _files_of(outcome):
        if (file.path, file.sha256, file.bytes) not in own:
            return f"{file.path} is named with another size or sha256 than it has, or is not its own"
    pairs: list[_Pair] = []
    if outcome.preflight is not None:
        pairs.append(
            ("checkpointBytes", outcome.preflight.checkpoint_bytes, store.unit_ref(unit, "checkpoint").bytes)
        )
    if outcome.round is not None:
        pairs += _round(store, request, result, outcome.round)
        if request.round is not None:
            pairs.append(("share", outcome.round.share, request.round.share))
    if outcome.quantize is not None:
        pairs += _quantized(store.unit_json(unit, "precision", PrecisionTable), outcome.quantize)
    if outcome.benchmark is not None:
        pairs += _benchmarks(store, request, result, outcome.benchmark)
    for name, stated, follows in pairs:
        if not math.isclose(stated, follows, rel_tol=_NOISE, abs_tol=_NOISE):
            return f"{name} is {stated:g}, from its own numbers follows {follows:g}"
    return ""


def _files_of(outcome: StageOutcome) -> Iterator[FileRef | Artifact]:
    """Yield every file that an outcome names."""
    if outcome.round is not None and outcome.round.checkpoint is not None:
        yield outcome.round.checkpoint
    made = outcome.convert or outcome.quantize
    if made is not None:
        yield from made.artifacts
        if made.manifest is not None:
            yield made.manifest
    if outcome.report is not None:
        yield from (outcome.report.html, outcome.report.card)


def _round(store: Store, request: StageInput, result: StageResult, outcome: RoundOutcome) -> Iterator[_Pair]:
    plan = store.unit_json(str(result.summary.unit), "plan", RoundPlan)
    yield "metricRecovered", outcome.recovered, [outcome.metric_repaired, *plan.metrics][-1]
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


def _quantized(table: PrecisionTable, outcome: ConvertOutcome) -> Iterator[_Pair]:
    for index, (made, target) in enumerate(zip(outcome.artifacts, table.targets, strict=False)):
        stated = made.precision
        if stated is not None:
            for bits, elements in ((8, stated.bits8), (16, stated.bits16), (32, stated.bits32)):
                yield f"artifacts[{index}].precision.bits{bits}", elements, target.elements(bits)


def _benchmarks(
    store: Store, request: StageInput, result: StageResult, outcome: BenchmarksOutcome
) -> Iterator[_Pair]:
    goal, unit = request.spec.evaluation.goal, request.upstream.shipped
    made = store.unit_json(unit, "manifest", Manifest).artifacts if unit is not None else []
    for index, one in enumerate(outcome.benchmarks):
        name = f"benchmarks[{index}]"
        yield f"{name}.drop", one.drop, relative_drop(one.baseline.metric, one.pruned.metric, goal)
        for role, bytes_ in (("baseline", one.baseline.bytes), ("pruned", one.pruned.bytes)):
            yield f"{name}.{role}.bytes", bytes_, _size_of(made, role, one)
        samples = store.unit_json(str(result.summary.unit), f"samples-{index}", LatencySamples)
        yield f"{name}.runs", one.runs, len(samples.pruned_seconds)
        yield f"{name}.speedup", one.speedup, speedup(samples.baseline_seconds, samples.pruned_seconds)
        for role, numbers, seconds in (
            ("baseline", one.baseline, samples.baseline_seconds),
            ("pruned", one.pruned, samples.pruned_seconds),
        ):
            yield f"{name}.{role}.p50Seconds", numbers.p50_seconds, percentile(seconds, 50)
            yield f"{name}.{role}.p90Seconds", numbers.p90_seconds, percentile(seconds, 90)


def _size_of(made: list[Artifact], role: str, one: BenchmarkOutcome) -> float:
    """Return the size of the model that was benchmarked; NaN, which equals nothing, where none was made."""
    what = (role, one.format, one.backend)
    return next((a.bytes for a in made if (a.role, a.format, a.backend) == what), math.nan)
