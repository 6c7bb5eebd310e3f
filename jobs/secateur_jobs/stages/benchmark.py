"""Stage benchmark: the converted baseline and the converted pruned model, measured against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from secateur_api.conditions import Reason
from secateur_api.results import (
    Artifact,
    BenchmarkOutcome,
    BenchmarksOutcome,
    Manifest,
    RunNumbers,
    StageOutcome,
)
from secateur_api.spec import Backend, Benchmark, Format
from secateur_jobs.conversion import toolchain
from secateur_jobs.measure.accuracy import measure_pair
from secateur_jobs.measure.statistics import percentile, speedup
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import MissingData
from secateur_jobs.sources import splits_of


def run(context: StageContext) -> StageOutcome:
    """Measure every benchmark of the spec; commits the timed runs as ``samples-0``, ``samples-1``, ..."""
    spec = context.request.spec
    context.progress(0, "load the data")
    made = context.store.unit_json(context.upstream("shipped"), "manifest", Manifest)
    toolchain.require([t for t in spec.convert if any(t.format is b.format for b in spec.benchmark)])
    dataset = splits_of(context).eval
    outcomes = []
    for index, benchmark in enumerate(spec.benchmark):
        part = 99.0 / len(spec.benchmark)
        bench = _Bench(context, benchmark, made, dataset, start=index * part, width=part)
        outcomes.append(bench.measure(f"samples-{index}"))
    return StageOutcome(benchmark=BenchmarksOutcome(benchmarks=outcomes))


class _Bench:
    """One entry of ``spec.benchmark``."""

    def __init__(
        self,
        context: StageContext,
        benchmark: Benchmark,
        made: Manifest,
        dataset: paddle.io.Dataset,
        *,
        start: float,
        width: float,
    ) -> None:
        self._context = context
        self._benchmark = benchmark
        self._dataset = dataset
        self._start, self._width = start, width
        self._outputs = made.outputs
        self._backend = Backend.X86 if benchmark.format is Format.PADDLE_LITE else None
        self._baseline = self._find(made, "baseline")
        self._pruned = self._find(made, "pruned")

    def measure(self, samples_name: str) -> BenchmarkOutcome:
        """Accuracy of both, then latency side by side, then peak memory of each."""
        spec, benchmark = self._context.request.spec, self._benchmark
        found = measure_pair(
            (self._fetch(self._baseline), self._fetch(self._pruned)),
            spec.model.inputs,
            self._outputs,
            spec.evaluation,
            self._dataset,
            warmup=benchmark.warmup,
            runs=benchmark.runs,
            scratch=self._context.scratch,
            say=self._say,
        )
        samples, (before, after) = found.samples, found.metrics
        self._context.put_json(samples_name, samples)
        return BenchmarkOutcome(
            device=benchmark.device,
            format=benchmark.format,
            backend=self._backend,
            runs=len(samples.pruned_seconds),
            baseline=_numbers(samples.baseline_seconds, before, found.peak_bytes[0], self._baseline),
            pruned=_numbers(samples.pruned_seconds, after, found.peak_bytes[1], self._pruned),
            speedup=speedup(samples.baseline_seconds, samples.pruned_seconds),
            drop=found.drop,
            drop_interval=None if found.drop_interval is None else list(found.drop_interval),
        )

    def _find(self, made: Manifest, role: Literal["baseline", "pruned"]) -> Artifact:
        for artifact in made.artifacts:
            if (artifact.role, artifact.format, artifact.backend) == (
                role,
                self._benchmark.format,
                self._backend,
            ):
                return artifact
        raise MissingData(
            Reason.ARTIFACT_CORRUPT,
            f"spec.benchmark: the manifest has no {role} model of format {self._benchmark.format.value}",
        )

    def _fetch(self, artifact: Artifact) -> Path:
        return self._context.store.fetch(artifact.file, self._context.scratch)

    def _say(self, share: float, step: str) -> None:
        text = f"{step} ({self._benchmark.format.value})"
        self._context.progress(self._start + self._width * share, text)


def _numbers(seconds: list[float], metric: float, memory: int, artifact: Artifact) -> RunNumbers:
    return RunNumbers(
        p50_seconds=percentile(seconds, 50),
        p90_seconds=percentile(seconds, 90),
        peak_memory_bytes=memory,
        metric=metric,
        bytes=artifact.bytes,
    )
