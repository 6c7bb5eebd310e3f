"""Latency of two converted models, interleaved in one process, and the peak memory of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from secateur_api.results import LatencySamples
from secateur_api.spec import InputSpec
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.conversion.converted import explain, start
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
