"""The speed-up of a pruned net: both converted to Paddle Lite for x86 and timed in turns."""

from __future__ import annotations

import tempfile
from pathlib import Path

from secateur_api.spec import Backend, Convert, Format
from secateur_jobs.conversion import to_lite
from secateur_jobs.conversion.batches import first_batches
from secateur_jobs.conversion.export import export
from secateur_jobs.measure.latency import compare
from secateur_jobs.measure.statistics import speedup
from secateur_jobs.paddle_env import paddle
from tests.bench.engine.baseline import Baseline

WARMUP, RUNS = 20, 300


def speedup_of(base: Baseline, net: paddle.nn.Layer) -> float:
    """Return how many times faster ``net`` answers than the baseline: one sample, one thread."""
    inputs = base.case.model.inputs
    with tempfile.TemporaryDirectory(prefix="secateur-bench-") as folder:
        scratch = Path(folder)
        baseline, pruned = (
            _converted(one, base, scratch / role) for role, one in (("baseline", base.net()), ("pruned", net))
        )
        samples = compare(
            baseline,
            pruned,
            inputs,
            first_batches(base.splits.eval, inputs, count=1)[0],
            warmup=WARMUP,
            runs=RUNS,
            scratch=scratch,
            report=lambda share: None,
        )
    return speedup(samples.baseline_seconds, samples.pruned_seconds)


def _converted(net: paddle.nn.Layer, base: Baseline, folder: Path) -> Path:
    folder.mkdir()
    target = Convert(format=Format.PADDLE_LITE, backend=Backend.X86)
    return to_lite.convert(export(net, base.case.model.inputs, folder), target, folder)
