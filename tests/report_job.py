"""A finished job as its stages leave it in a store: synthetic numbers, for tests of the report only."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

from secateur_api.base import Contract
from secateur_api.results import (
    Artifact,
    BenchmarkOutcome,
    BenchmarksOutcome,
    ConvertOutcome,
    CurveTable,
    Group,
    GroupTable,
    LatencySamples,
    Manifest,
    ModelNumbers,
    Parity,
    Point,
    PreflightOutcome,
    Refused,
    RoundOutcome,
    RoundPlan,
    RunNumbers,
    SensitivityOutcome,
    Shares,
    StageOutcome,
    Width,
)
from secateur_api.spec import Backend, Format, PruningJobSpec
from secateur_api.stage import Stage, StageInput, StageResult, StageSummary, Upstream
from secateur_api.status import Judged, RoundStatus, Verdict
from secateur_jobs.runtime.store import Store

_TARGETS = {"arm": (Format.PADDLE_LITE, Backend.ARM), "x86": (Format.PADDLE_LITE, Backend.X86)}
_TOOLCHAIN = {"python": "3.11.2", "secateur": "0.1.0", "paddlepaddle": "3.1.1"}


@dataclass
class SampleJob:
    """What the job was like; ``write`` fills a store and returns the report's input."""

    name: str = "digits-resnet"
    groups: list[str] = field(default_factory=lambda: ["conv1", "layer1.0.conv1", "layer2.0.conv1"])
    refused: dict[str, str] = field(default_factory=lambda: {"fc": "the head decides the classes"})
    rounds: tuple[bool, ...] = (True, False, True)
    """The gate's answer to each round."""
    holds: bool = True
    judged: bool = True
    sensitivity: bool = True
    targets: tuple[str, ...] = ("arm", "x86", "onnx")
    benchmarks: tuple[str, ...] = ("x86", "onnx")
    metric: str = "accuracy"
    runs: int = 200

    def spec(self) -> PruningJobSpec:
        """Return the spec of the job."""
        pruning: dict[str, Any] = {"target": {"macs": "50%"}}
        if not self.sensitivity:
            pruning = {"layers": [{"match": "*", "ratio": 0.3}]}
        convert = [{"format": f.value, **({"backend": b.value} if b else {})} for f, b in self._pairs()]
        return PruningJobSpec.model_validate(
            {
                "model": {
                    "factory": "secateur_jobs.zoo.digits:residual",
                    **(
                        {"weights": {"uri": "net.npz"}}
                        if self.metric == "agreement"
                        else {"pretrain": {"epochs": 4}}
                    ),
                    "inputs": [{"name": "image", "shape": [1, 1, 16, 16]}],
                },
                "data": {"factory": "secateur_jobs.data.digits:splits"},
                "evaluation": {"metric": self.metric},
                "constraints": [{"metric": "accuracyDrop", "max": "1%"}],
                "pruning": pruning,
                "convert": convert,
                "benchmark": [{"format": _pair(t)[0].value} for t in self.benchmarks],
            }
        )

    def write(self, store: Store) -> StageInput:
        """Write every unit and return the input of stage report."""
        _commit(
            store,
            "preflight-1",
            Stage.PREFLIGHT,
            StageOutcome(preflight=self._preflight()),
            {"groups": self._groups(), "artifacts": ConvertOutcome(artifacts=self._artifacts("baseline"))},
        )
        sensitivity = [self._sensitivity(store, shard) for shard in range(2)] if self.sensitivity else []
        rounds = [self._round(store, index) for index in range(len(self.rounds))]
        accepted = [r.unit for r in rounds if r.accepted] or [r.unit for r in rounds]
        model = accepted[-1] if accepted else None
        upstream = Upstream(
            preflight="preflight-1",
            sensitivity=sensitivity,
            rounds=[r.unit for r in rounds],
            model=model,
            convert=self._convert(store) if model else None,
            benchmark=[self._benchmark(store)] if model and self.benchmarks else [],
        )
        verdict = self._verdict(rounds).to_wire() if self.judged else None
        return StageInput(
            job=self.name,
            stage=Stage.REPORT,
            spec=self.spec(),
            store=store.uri,
            upstream=upstream,
            verdict=verdict,
        )

    def _pairs(self) -> list[tuple[Format, Backend | None]]:
        return [_pair(target) for target in self.targets]

    def _preflight(self) -> PreflightOutcome:
        return PreflightOutcome(
            baseline=ModelNumbers(metric=0.9833, macs=12_400_000, params=272_000),
            groups=len(self.groups),
            layers=len(self.groups) + len(self.refused),
            refused=len(self.refused),
            reachable=Shares(macs=0.81),
            checkpoint_bytes=1_100_000,
            needs_sensitivity=self.sensitivity,
            engine="paddleslim",
        )

    def _groups(self) -> GroupTable:
        groups = [
            Group(
                name=name,
                channels=_channels(index),
                producers=[name],
                consumers=[*self.groups[index + 1 : index + 2]],
                others=[f"{name}.bn"],
                cap=0.1 if index == 0 else 0.9,
            )
            for index, name in enumerate(self.groups)
        ]
        refused = [Refused(layer=layer, reason=reason) for layer, reason in self.refused.items()]
        return GroupTable(engine="paddleslim", groups=groups, refused=refused)

    def _sensitivity(self, store: Store, shard: int) -> str:
        points = []
        for index, name in enumerate(self.groups):
            for step in range(1, 10):
                if (index + step) % 2 != shard:
                    continue
                loss = (0.04 + 0.9 * math.sin(index * 1.7) ** 2) * (step / 10) ** 3 - 0.001
                metric = 0.9833 * (1 - loss)
                points.append(Point(group=name, ratio=step / 10, metric=metric, loss=loss, seconds=0.4))
        outcome = StageOutcome(sensitivity=SensitivityOutcome(points=len(points), measured=len(points)))
        curves = CurveTable(baseline=0.9833, points=points)
        return _commit(
            store, f"sensitivity-{shard}", Stage.SENSITIVITY, outcome, {"curves": curves}, seconds=21.5
        )

    def _round(self, store: Store, index: int) -> RoundStatus:
        cut = min(0.2 * (index + 1), 0.52)
        recovered = 0.9833 - (0.08 if not self.rounds[index] else 0.004 * (index + 1))
        outcome = RoundOutcome(
            number=index + 1,
            share=cut / 0.52,
            cut_macs=cut,
            cut_params=cut * 0.9,
            cut_size=cut * 0.9,
            numbers=ModelNumbers(
                metric=recovered, macs=int(12_400_000 * (1 - cut)), params=int(272_000 * (1 - cut * 0.9))
            ),
            metric_cut=recovered - 0.4,
            metric_repaired=recovered - 0.1,
            drop=(0.9833 - recovered) / 0.9833,
            checkpoint_bytes=24,
        )
        plan = RoundPlan(
            ratios={name: min(cut * (0.6 + 0.1 * (i % 6)), 0.9) for i, name in enumerate(self.groups)},
            widths=[
                Width(layer=name, before=_channels(i), after=max(8, round(_channels(i) * (1 - cut) / 8) * 8))
                for i, name in enumerate(self.groups)
            ],
            losses=[0.41, 0.22, 0.17],
            metrics=[recovered - 0.03, recovered - 0.01, recovered],
        )
        unit = f"round-{index + 1}"
        files = {"plan": plan, "checkpoint": b"no real tensors, a test."}
        _commit(store, unit, Stage.ROUND, StageOutcome(round=outcome), files, seconds=34.2)
        return RoundStatus(
            outcome=outcome,
            accepted=self.rounds[index],
            floor=0.02,
            seconds=34.2,
            job=f"{self.name[:20]}-round",
            unit=unit,
        )

    def _artifacts(self, role: str) -> list[Artifact]:
        size = 1_120_000 if role == "baseline" else 561_000
        return [
            Artifact.model_validate(
                {
                    "role": role,
                    "format": form,
                    "backend": backend,
                    "path": f"units/x/{role}-{form.value}{'-' + backend.value if backend else ''}.bin",
                    "sha256": ("ab" if role == "baseline" else "cd") * 32,
                    "bytes": size + 1000 * len(form.value),
                    "parity": None
                    if backend is Backend.ARM
                    else Parity(max_abs=2e-6, max_rel=3.1e-7, tolerance=1e-4, samples=16),
                }
            )
            for form, backend in self._pairs()
        ]

    def _convert(self, store: Store) -> str:
        outcome = StageOutcome(convert=ConvertOutcome(artifacts=self._artifacts("pruned")))
        manifest = Manifest(
            inputs=self.spec().model.inputs,
            outputs="0",
            artifacts=[*self._artifacts("baseline"), *self._artifacts("pruned")],
            options={target: f"--valid_targets={target}" for target in self.targets},
            toolchain={"lite-paddlelite": "2.13rc0"},
        )
        return _commit(store, "convert-1", Stage.CONVERT, outcome, {"manifest": manifest})

    def _benchmark(self, store: Store) -> str:
        outcomes: list[BenchmarkOutcome] = []
        files: dict[str, Contract | bytes] = {}
        for index, target in enumerate(self.benchmarks):
            chance = random.Random(index)
            before = [0.0041 + chance.lognormvariate(0, 0.8) * 2e-4 for _ in range(self.runs)]
            after = [0.0024 + chance.lognormvariate(0, 0.8) * 2e-4 for _ in range(self.runs)]
            files[f"samples-{index}"] = LatencySamples(baseline_seconds=before, pruned_seconds=after)
            form, backend = _pair(target)
            baseline, pruned = _numbers(before, 0.9833, 1_120_000), _numbers(after, 0.9722, 561_000)
            outcomes.append(
                BenchmarkOutcome(
                    device="local-x86",
                    format=form,
                    backend=backend,
                    runs=self.runs,
                    baseline=baseline,
                    pruned=pruned,
                    speedup=baseline.p50_seconds / pruned.p50_seconds,
                    drop=(0.9833 - 0.9722) / 0.9833,
                )
            )
        outcome = StageOutcome(benchmark=BenchmarksOutcome(benchmarks=outcomes))
        return _commit(store, "benchmark-1", Stage.BENCHMARK, outcome, files)

    def _verdict(self, rounds: list[RoundStatus]) -> Verdict:
        limit = 0.02 if self.holds else 0.01
        judged = [
            Judged(
                name=f"accuracyDrop <= {limit:.0%} on local-x86 (paddle-lite/x86)",
                metric="accuracyDrop",
                bound=f"{limit:.0%}",
                measured="1.13%",
                value=0.0113,
                limit=limit,
                holds=self.holds,
            ),
            Judged(
                name="latencyP50 <= 5ms on local-x86 (paddle-lite/x86)",
                metric="latencyP50",
                bound="5ms",
                measured="2.60 ms",
                value=0.0026,
                limit=0.005,
                holds=True,
            ),
        ]
        reason = "ConstraintsMet" if self.holds else "ConstraintsNotMet"
        return Verdict(holds=self.holds, reason=reason, message="", judged=judged, rounds=rounds)


def _pair(target: str) -> tuple[Format, Backend | None]:
    return _TARGETS.get(target, (Format.ONNX, None))


def _channels(index: int) -> int:
    return 16 * 2 ** min(index // 3, 5)


def _numbers(seconds: list[float], metric: float, size: int) -> RunNumbers:
    ordered = sorted(seconds)
    return RunNumbers(
        p50_seconds=ordered[len(ordered) // 2],
        p90_seconds=ordered[int(len(ordered) * 0.9)],
        peak_memory_bytes=48_000_000 + size,
        metric=metric,
        bytes=size,
    )


def _commit(
    store: Store,
    unit: str,
    stage: Stage,
    outcome: StageOutcome,
    files: dict[str, Any],
    seconds: float = 12.0,
) -> str:
    refs = {}
    for name, content in files.items():
        is_json = isinstance(content, Contract)
        body = content.model_dump_json(by_alias=True).encode() if is_json else content
        refs[name] = store.put(unit, f"{name}{'.json' if is_json else '.bin'}", body)
    summary = StageSummary(stage=stage, unit=unit, ok=True, seconds=seconds, outcome=outcome)
    result = StageResult(summary=summary, files=refs, toolchain=_TOOLCHAIN)
    store.commit(unit, result)
    return unit
