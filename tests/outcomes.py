"""Stage outcomes with plausible numbers, for tests of the control plane and stand-in stages."""

from __future__ import annotations

import hashlib

from secateur_api import Stage, StageInput, StageSummary, unit_name
from secateur_api.results import (
    Artifact,
    BenchmarkOutcome,
    BenchmarksOutcome,
    ConvertOutcome,
    FileRef,
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
    return StageSummary(
        stage=request.stage,
        unit=unit_name(request),
        ok=True,
        seconds=1.5,
        measured_at="2026-01-31T12:00:00Z",
        outcome=outcome,
    )


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
            return StageOutcome(
                convert=ConvertOutcome(
                    artifacts=_artifacts(request, unit), manifest=file(unit, "manifest.json")
                )
            )
        case Stage.BENCHMARK:
            found_runs = [_benchmark(one.format, drop) for one in request.spec.benchmark]
            return StageOutcome(benchmark=BenchmarksOutcome(benchmarks=found_runs))
        case Stage.REPORT:
            html, card = file(unit, "report.html"), file(unit, "card.md")
            return StageOutcome(report=ReportOutcome(html=html, card=card))


def file(unit: str, name: str, content: bytes = b"content") -> FileRef:
    """Return the reference of a unit's file."""
    digest = hashlib.sha256(content).hexdigest()
    return FileRef(path=unit_path(unit, f"{digest[:12]}/{name}"), sha256=digest, bytes=len(content))


def filenames(summary: StageSummary) -> list[str]:
    """Return the names of the files that the outcome speaks of; each one's content is ``content``."""
    match summary.stage:
        case Stage.CONVERT:
            assert summary.outcome.convert is not None
            return ["manifest.json", *(one.path.split("/")[-1] for one in summary.outcome.convert.artifacts)]
        case Stage.REPORT:
            return ["report.html", "card.md"]
        case Stage.PRETRAIN | Stage.PREFLIGHT | Stage.ROUND:
            return ["checkpoint.safetensors"]
    return []


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
        checkpoint=file(unit_name(request), "checkpoint.safetensors"),
    )


def _artifacts(request: StageInput, unit: str) -> list[Artifact]:
    return [
        Artifact(
            role=role,
            format=one.format,
            backend=one.backend,
            path=file(unit, f"{role}-{one.format.value}-{one.backend.value if one.backend else 'any'}").path,
            sha256=file(unit, "").sha256,
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
