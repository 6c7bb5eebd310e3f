"""Everything that the report says, read from the store; nothing is computed or judged here."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from secateur_api.base import Contract
from secateur_api.conditions import Reason
from secateur_api.results import (
    Artifact,
    BenchmarkOutcome,
    BenchmarksOutcome,
    ConvertOutcome,
    CurveTable,
    GroupTable,
    LatencySamples,
    Manifest,
    Point,
    PrecisionTable,
    PreflightOutcome,
    PretrainOutcome,
    RoundOutcome,
    RoundPlan,
    TargetPrecision,
)
from secateur_api.spec import Evaluation, PruningJobSpec
from secateur_api.stage import FileRef, StageInput, StageResult
from secateur_api.status import RoundStatus, Verdict
from secateur_jobs.explain import first_fault
from secateur_jobs.runtime.errors import Damaged, InvalidInput
from secateur_jobs.runtime.store import Store

_C = TypeVar("_C", bound=Contract)


@dataclass(frozen=True)
class Round:
    """One finished round; ``gate`` is the control plane's answer to it, None if it was not asked."""

    unit: str
    outcome: RoundOutcome
    plan: RoundPlan
    checkpoint: FileRef
    gate: RoundStatus | None


@dataclass(frozen=True)
class Measured:
    """One benchmark with every timed run."""

    outcome: BenchmarkOutcome
    samples: LatencySamples


@dataclass(frozen=True)
class StageRun:
    """One committed unit: which stage, when it was done, its seconds of work, with which packages."""

    unit: str
    stage: str
    measured_at: str | None
    seconds: float
    toolchain: dict[str, str]


@dataclass(frozen=True)
class Evidence:
    """The facts of one job. What was not measured is None or empty."""

    job: str
    spec: PruningJobSpec
    verdict: Verdict | None
    pretrain: PretrainOutcome | None
    preflight: PreflightOutcome
    groups: GroupTable
    baseline_artifacts: list[Artifact]
    points: dict[str, list[Point]]
    """Group to its sensitivity points, by ascending ratio."""
    rounds: list[Round]
    model: Round | None
    """The round whose model was converted; None if no round was finished."""
    pruned_artifacts: list[Artifact]
    weights: list[TargetPrecision]
    """What the weights of each target are stored in; empty for 32-bit floats."""
    manifest: Manifest | None
    measured: list[Measured]
    stages: list[StageRun]

    @property
    def choosing(self) -> Evaluation:
        """How curves and rounds are judged."""
        return self.preflight.choosing(self.spec.evaluation)

    def versions(self) -> dict[str, list[str]]:
        """Return each package of the toolchain with its versions: more than one where stages differ."""
        seen: dict[str, list[str]] = {}
        told = [stage.toolchain for stage in self.stages] + (
            [self.manifest.toolchain] if self.manifest else []
        )
        for package, version in (pair for versions in told for pair in versions.items()):
            found = seen.setdefault(package, [])
            if version not in found:
                found.append(version)
        return {package: seen[package] for package in sorted(seen)}


def gather(store: Store, request: StageInput) -> Evidence:
    """Read a job's results from the store.

    Raises InvalidInput if the verdict is malformed, or upstream names no preflight unit or a model
    that is no round of it; MissingData if a named unit is not committed, or a file of it is missing or
    altered.
    """
    upstream = request.upstream
    verdict = _verdict(request)
    if upstream.preflight is None:
        raise InvalidInput(Reason.INVALID_SPEC, "stage report needs upstream.preflight")
    reader = _Reader(store)
    pretrain = reader.result(upstream.pretrain).summary.outcome.pretrain if upstream.pretrain else None
    preflight = reader.outcome(upstream.preflight, "preflight", PreflightOutcome)
    points = _merge([reader.json(unit, "curves", CurveTable) for unit in upstream.sensitivity])
    gates = {r.unit: r for r in verdict.rounds} if verdict else {}
    rounds = [reader.round(unit, gates.get(unit)) for unit in upstream.rounds]
    model = _chosen(rounds, upstream.model)
    pruned: list[Artifact] = []
    manifest = None
    weights: list[TargetPrecision] = []
    if upstream.convert is not None:
        pruned = reader.outcome(upstream.convert, "convert", ConvertOutcome).artifacts
        manifest = reader.json(upstream.convert, "manifest", Manifest)
    if upstream.quantize is not None:
        pruned = reader.outcome(upstream.quantize, "quantize", ConvertOutcome).artifacts
        manifest = reader.json(upstream.quantize, "manifest", Manifest)
        weights = reader.json(upstream.quantize, "precision", PrecisionTable).targets
    return Evidence(
        job=request.job,
        spec=request.spec,
        verdict=verdict,
        pretrain=pretrain,
        preflight=preflight,
        groups=reader.json(upstream.preflight, "groups", GroupTable),
        baseline_artifacts=reader.json(upstream.preflight, "artifacts", ConvertOutcome).artifacts,
        points=points,
        rounds=rounds,
        model=model,
        pruned_artifacts=pruned,
        weights=weights,
        manifest=manifest,
        measured=[m for unit in upstream.benchmark for m in reader.measured(unit)],
        stages=reader.runs,
    )


def _verdict(request: StageInput) -> Verdict | None:
    if request.verdict is None:
        return None
    try:
        return Verdict.model_validate(request.verdict)
    except ValidationError as error:
        raise InvalidInput(Reason.INVALID_SPEC, f"verdict.{first_fault(error)}") from None


def _chosen(rounds: list[Round], unit: str | None) -> Round | None:
    if unit is None:
        return None
    for found in rounds:
        if found.unit == unit:
            return found
    raise InvalidInput(Reason.INVALID_SPEC, f"upstream.model is {unit}, which is not among upstream.rounds")


def _merge(tables: list[CurveTable]) -> dict[str, list[Point]]:
    merged: dict[str, dict[float, Point]] = defaultdict(dict)
    for table in tables:
        for point in table.points:
            merged[point.group][point.ratio] = point
    return {group: [by[ratio] for ratio in sorted(by)] for group, by in merged.items()}


class _Reader:
    """Reads units and remembers the run of each."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.runs: list[StageRun] = []
        self._results: dict[str, StageResult] = {}

    def result(self, unit: str) -> StageResult:
        if unit not in self._results:
            result = self.store.result(unit)
            if result is None:
                raise Damaged(unit, f"unit {unit} is not committed in {self.store.url_of()}")
            self._results[unit] = result
            summary = result.summary
            self.runs.append(
                StageRun(unit, summary.stage.value, summary.measured_at, summary.seconds, result.toolchain)
            )
        return self._results[unit]

    def outcome(self, unit: str, name: str, kind: type[_C]) -> _C:
        found = getattr(self.result(unit).summary.outcome, name)
        if not isinstance(found, kind):
            raise Damaged(unit, f"unit {unit} has no {name} outcome")
        return found

    def json(self, unit: str, name: str, kind: type[_C]) -> _C:
        self.result(unit)
        return self.store.unit_json(unit, name, kind)

    def round(self, unit: str, gate: RoundStatus | None) -> Round:
        outcome = self.outcome(unit, "round", RoundOutcome)
        plan = self.json(unit, "plan", RoundPlan)
        return Round(unit, outcome, plan, self.store.unit_ref(unit, "checkpoint"), gate)

    def measured(self, unit: str) -> list[Measured]:
        outcomes = self.outcome(unit, "benchmark", BenchmarksOutcome).benchmarks
        return [
            Measured(outcome, self.json(unit, f"samples-{index}", LatencySamples))
            for index, outcome in enumerate(outcomes)
        ]
