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
from secateur_api.spec import Backend, Benchmark, Format, Goal
from secateur_api.stage import FileRef
from secateur_jobs.conversion import toolchain
from secateur_jobs.conversion.batches import first_batches
from secateur_jobs.measure import interval
from secateur_jobs.measure.accuracy import converted_tally
from secateur_jobs.measure.drop import relative_drop
from secateur_jobs.measure.latency import compare, peak_memory
from secateur_jobs.measure.statistics import percentile, speedup
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.errors import MissingData
from secateur_jobs.sources import splits_of
from secateur_jobs.training.metrics import built_in_metric
from secateur_jobs.training.tally import Tally

_ACCURACY_SHARE = 0.3
"""Of one benchmark's progress, for each of the two models."""


def run(context: StageContext) -> StageOutcome:
    """Measure every benchmark of the spec; commits the timed runs as ``samples-0``, ``samples-1``, ..."""
    spec = context.request.spec
    context.progress(0, "load the data")
    made = context.store.unit_json(context.upstream("convert"), "manifest", Manifest)
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
        self._spec = context.request.spec
        self._benchmark = benchmark
        self._dataset = dataset
        self._start, self._width = start, width
        self._outputs = made.outputs
        self._backend = Backend.X86 if benchmark.format is Format.PADDLE_LITE else None
        self._baseline = self._find(made, "baseline")
        self._pruned = self._find(made, "pruned")

    def measure(self, samples_name: str) -> BenchmarkOutcome:
        """Accuracy of both, then latency side by side, then peak memory of each."""
        baseline, pruned = (self._fetch(artifact) for artifact in (self._baseline, self._pruned))
        goal = self._spec.evaluation.goal
        tallies = [
            self._evaluate(path, role, share)
            for path, role, share in ((baseline, "baseline", 0.0), (pruned, "pruned", _ACCURACY_SHARE))
        ]
        metrics = [tally.value() for tally in tallies]
        drop = relative_drop(*metrics, goal)
        batch = first_batches(self._dataset, self._spec.model.inputs, count=1)[0]
        samples = compare(
            baseline,
            pruned,
            self._spec.model.inputs,
            batch,
            warmup=self._benchmark.warmup,
            runs=self._benchmark.runs,
            scratch=self._context.scratch,
            report=lambda share: self._say(2 * _ACCURACY_SHARE, 0.35, share, "time both models, interleaved"),
        )
        self._context.put_json(samples_name, samples)
        self._say(0.95, 0.05, 0.0, "measure peak memory")
        memory = [
            peak_memory(path, self._spec.model.inputs, batch, self._context.scratch)
            for path in (baseline, pruned)
        ]
        return BenchmarkOutcome(
            device=self._benchmark.device,
            format=self._benchmark.format,
            backend=self._backend,
            runs=len(samples.pruned_seconds),
            baseline=_numbers(samples.baseline_seconds, metrics[0], memory[0], self._baseline),
            pruned=_numbers(samples.pruned_seconds, metrics[1], memory[1], self._pruned),
            speedup=speedup(samples.baseline_seconds, samples.pruned_seconds),
            drop=drop,
            drop_interval=self._interval(*tallies, metrics[0]),
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
        ref = FileRef(path=artifact.path, sha256=artifact.sha256, bytes=artifact.bytes)
        return self._context.store.fetch(ref, self._context.scratch)

    def _interval(self, baseline: Tally, pruned: Tally, metric: float) -> list[float] | None:
        """Return the drop's interval; None where a metric of the user's is not known sample by sample."""
        built_in = built_in_metric(self._spec.evaluation)
        if built_in is None or metric == 0:
            return None
        if built_in.is_mean:
            low, high = interval.of_means(baseline.kept, pruned.kept, abs(metric))
            return [low, high] if self._spec.evaluation.goal is Goal.MAXIMIZE else [-high, -low]
        goal = self._spec.evaluation.goal
        found = interval.of_values(
            baseline.kept,
            pruned.kept,
            lambda a, b: relative_drop(built_in.value(a), built_in.value(b), goal),
        )
        return list(found)

    def _evaluate(self, path: Path, role: str, begin: float) -> Tally:
        step = f"evaluate the converted {role} model"
        return converted_tally(
            path,
            self._outputs,
            self._spec,
            self._dataset,
            self._context.scratch,
            lambda share: self._say(begin, _ACCURACY_SHARE, share, step),
        )

    def _say(self, begin: float, length: float, share: float, step: str) -> None:
        within = begin + length * share
        self._context.progress(self._start + self._width * within, f"{step} ({self._benchmark.format.value})")


def _numbers(seconds: list[float], metric: float, memory: int, artifact: Artifact) -> RunNumbers:
    return RunNumbers(
        p50_seconds=percentile(seconds, 50),
        p90_seconds=percentile(seconds, 90),
        peak_memory_bytes=memory,
        metric=metric,
        bytes=artifact.bytes,
    )
