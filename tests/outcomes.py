"""Stage outcomes with plausible numbers, for tests of the control plane and stand-in stages."""

from __future__ import annotations

from secateur_api import Stage, StageInput, StageSummary, unit_name
from secateur_api.results import (
    Artifact,
    BenchmarkOutcome,
    BenchmarksOutcome,
    ConvertOutcome,
    ModelNumbers,
    PreflightOutcome,
    PretrainOutcome,
    ReportOutcome,
    RoundOutcome,
    RunNumbers,
    SensitivityOutcome,
    StageOutcome,
)
from secateur_api.spec import Backend, Format
from secateur_api.stage import unit_path

BASELINE = ModelNumbers(metric=0.98, macs=1_000_000, params=50_000)


def summary(request: StageInput, drop: float = 0.001, needs_sensitivity: bool = True) -> StageSummary:
    """Return what the stage would say when it is done; ``drop`` is a round's and the converted model's."""
    outcome = _outcome(request, unit_name(request), drop, needs_sensitivity)
    return StageSummary(stage=request.stage, unit=unit_name(request), ok=True, seconds=1.5, outcome=outcome)


def _outcome(request: StageInput, unit: str, drop: float, needs_sensitivity: bool) -> StageOutcome:
    match request.stage:
        case Stage.PRETRAIN:
            return StageOutcome(pretrain=PretrainOutcome(metric=0.98, epochs=1))
        case Stage.PREFLIGHT:
            found = PreflightOutcome(
                baseline=BASELINE,
                groups=9,
                layers=12,
                refused=3,
                checkpoint_bytes=400_000,
                needs_sensitivity=needs_sensitivity,
                engine="paddleslim",
            )
            return StageOutcome(preflight=found)
        case Stage.SENSITIVITY:
            return StageOutcome(sensitivity=SensitivityOutcome(points=9, measured=9))
        case Stage.ROUND:
            return StageOutcome(round=round_outcome(request, drop))
        case Stage.CONVERT:
            return StageOutcome(convert=ConvertOutcome(artifacts=_artifacts(request, unit)))
        case Stage.BENCHMARK:
            found_runs = [_benchmark(one.format, drop) for one in request.spec.benchmark]
            return StageOutcome(benchmark=BenchmarksOutcome(benchmarks=found_runs))
        case Stage.REPORT:
            html, card = unit_path(unit, "report.html"), unit_path(unit, "card.md")
            return StageOutcome(report=ReportOutcome(html=html, card=card))


def round_outcome(request: StageInput, drop: float) -> RoundOutcome:
    """Return a round that cut exactly what it was asked to."""
    assert request.round is not None
    target = request.spec.pruning.target
    cut = request.round.share * (max(target.shares.values()) if target else 0.5)
    return RoundOutcome(
        number=request.round.number,
        share=request.round.share,
        cut_macs=cut,
        cut_params=cut,
        cut_size=cut,
        numbers=ModelNumbers(metric=0.98 * (1 - drop), macs=int(1_000_000 * (1 - cut)), params=30_000),
        metric_cut=0.4,
        metric_repaired=0.7,
        drop=drop,
        checkpoint_bytes=200_000,
    )


def _artifacts(request: StageInput, unit: str) -> list[Artifact]:
    return [
        Artifact(
            role=role,
            format=one.format,
            backend=one.backend,
            path=unit_path(unit, f"{role}-{one.format.value}-{one.backend.value if one.backend else 'any'}"),
            sha256="ab" * 32,
            bytes=150_000 if role == "pruned" else 300_000,
        )
        for one in request.spec.convert
        for role in ("baseline", "pruned")
    ]


def _benchmark(format: Format, drop: float) -> BenchmarkOutcome:
    def numbers(p50: float, metric: float) -> RunNumbers:
        return RunNumbers(
            p50_seconds=p50, p90_seconds=p50 * 1.2, peak_memory_bytes=40_000_000, metric=metric, bytes=150_000
        )

    return BenchmarkOutcome(
        device="local-x86",
        format=format,
        backend=Backend.X86 if format is Format.PADDLE_LITE else None,
        runs=200,
        baseline=numbers(0.010, 0.98),
        pruned=numbers(0.006, 0.98 * (1 - drop)),
        speedup=1.6,
        drop=drop,
    )
