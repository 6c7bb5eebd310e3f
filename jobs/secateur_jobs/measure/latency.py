"""Latency of two converted models, interleaved in one process, and the peak memory of one.

Narrowed nets are measured so, each against the unpruned one, as the benchmark does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from secateur_api.results import LatencySamples, LatencyTable
from secateur_api.spec import Backend, Benchmark, Convert, Format, InputSpec, Model
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.conversion.convert import convert_to
from secateur_jobs.conversion.converted import explain, start
from secateur_jobs.conversion.rewriting import export_rewritten
from secateur_jobs.measure.statistics import speedup
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import PruningEngine, first_channels
from secateur_jobs.runtime.child import Arrays, ChildDied


def compare(
    baseline: Path,
    pruned: Path,
    inputs: Sequence[InputSpec],
    batch: Batch,
    *,
    warmup: int,
    runs: int,
    scratch: Path,
    report: Callable[[float], None],
) -> LatencySamples:
    """Return ``runs`` latencies in seconds of each model, one thread, in the order run.

    The runs of both are interleaved and the order of each pair is swapped, so that the machine's noise meets
    both alike; ``report`` is told the share that is done (0..1). Raises InvalidInput or Retryable if a model
    cannot be run.
    """
    request = {"models": [str(baseline), str(pruned)], "warmup": warmup, "runs": runs}
    try:
        with start("bench", request, pruned, scratch) as child:
            child.send_arrays(_named(inputs, batch))
            answer = child.receive_json()
            while "samples" not in answer:
                report(answer["done"] / runs)
                answer = child.receive_json()
    except ChildDied as died:
        raise explain(died, pruned) from None
    first, second = ([nanoseconds / 1e9 for nanoseconds in model] for model in answer["samples"])
    return LatencySamples(baseline_seconds=first, pruned_seconds=second)


def peak_memory(model: Path, inputs: Sequence[InputSpec], batch: Batch, scratch: Path) -> int:
    """Return the largest resident set in bytes of a process that loads and runs only this model.

    The interpreter and the runtime are in it: compare it with that of another model, not with its file.
    """
    try:
        with start("memory", {"model": str(model)}, model, scratch) as child:
            child.send_arrays(_named(inputs, batch))
            return int(child.receive_json()["peakBytes"])
    except ChildDied as died:
        raise explain(died, model) from None


def _named(inputs: Sequence[InputSpec], batch: Batch) -> Arrays:
    return {i.name: array for i, array in zip(inputs, batch, strict=True)}


RUNS = 60
_WARMUP = 10


def measure_plans(
    engine: PruningEngine,
    plans: Sequence[Mapping[str, int]],
    model: Model,
    benchmark: Benchmark,
    batch: Batch,
    report: Callable[[float], None],
) -> LatencyTable:
    """Return the latency of the net at each of ``plans`` (widths by group), relative to its own uncut.

    The values of the weights do not matter: the first channels stay. The net is left as it was.
    """
    channels = {group.name: group.channels for group in engine.groups}

    def part(done: int) -> Callable[[float], None]:
        return lambda share: report((done + share) / len(plans))

    with tempfile.TemporaryDirectory(prefix="secateur-latency-") as folder:
        scratch = Path(folder)
        whole = _converted(engine.net, model, benchmark, scratch / "whole")
        kept, found = [], []
        for index, plan in enumerate(plans):
            masks = first_channels(engine.groups, plan)
            engine.cut(masks)
            try:
                narrow = _converted(engine.net, model, benchmark, scratch / f"narrow-{index}")
            finally:
                engine.restore()
            samples = compare(
                whole,
                narrow,
                model.inputs,
                batch,
                warmup=_WARMUP,
                runs=RUNS,
                scratch=scratch,
                report=part(index),
            )
            kept.append({name: float(mask.sum()) / channels[name] for name, mask in masks.items()})
            found.append(1 / speedup(samples.baseline_seconds, samples.pruned_seconds))
    return LatencyTable(device=benchmark.device, format=benchmark.format, runs=RUNS, kept=kept, latency=found)


def processor() -> str:
    """Return the model of this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _converted(net: paddle.nn.Layer, model: Model, benchmark: Benchmark, folder: Path) -> Path:
    folder.mkdir()
    is_lite = benchmark.format is Format.PADDLE_LITE
    target = Convert(format=benchmark.format, backend=Backend.X86 if is_lite else None)
    return convert_to(export_rewritten(net, model, folder), target, folder)
