"""Two converted models against each other: metric (by the code that measures Paddle's), latency, memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from secateur_api.results import LatencySamples
from secateur_api.spec import Evaluation, Goal, InputSpec
from secateur_jobs.conversion.batches import first_batches, fit
from secateur_jobs.conversion.converted import ConvertedModel
from secateur_jobs.measure import statistics
from secateur_jobs.measure.latency import compare, peak_memory
from secateur_jobs.measure.statistics import relative_drop
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.evaluate import evaluate_with
from secateur_jobs.training.metrics import built_in_metric
from secateur_jobs.training.outputs import Outputs, Structure, rebuilt
from secateur_jobs.training.tally import Tally


def converted_tally(
    model: Path,
    outputs: Structure,
    inputs: Sequence[InputSpec],
    evaluation: Evaluation,
    dataset: paddle.io.Dataset,
    scratch: Path,
    report: Callable[[float], None],
) -> Tally:
    """Return what the metric follows from, on the whole data set.

    ``outputs`` says which of the model's outputs is which; ``report`` is told the share that is done (0..1).
    """
    batch_size = inputs[0].shape[0]
    done = 0
    with ConvertedModel(model, inputs, scratch) as converted:

        def run(arrays: list[np.ndarray]) -> Outputs:
            nonlocal done
            found = rebuilt(outputs, converted.run(fit(arrays, inputs)))
            done += batch_size
            report(min(done / len(dataset), 1.0))
            return found

        return evaluate_with(run, dataset, evaluation, batch_size)


_ACCURACY_SHARE = 0.3
"""Of the progress, for each of the two models."""


@dataclass(frozen=True)
class Pair:
    """What was measured; of two numbers the first is the baseline's."""

    samples: LatencySamples
    metrics: tuple[float, float]
    drop: float
    """Relative drop of the metric."""
    drop_interval: tuple[float, float] | None
    """Its 95 % interval; None where a metric of the user's is not known sample by sample."""
    peak_bytes: tuple[int, int]


def measure_pair(
    models: tuple[Path, Path],
    inputs: Sequence[InputSpec],
    outputs: Structure,
    evaluation: Evaluation,
    dataset: paddle.io.Dataset,
    *,
    warmup: int,
    runs: int,
    scratch: Path,
    say: Callable[[float, str], None],
) -> Pair:
    """Measure a converted baseline and its pruned model, on one thread of this machine.

    ``outputs`` says what their outputs are (``reference_outputs``); ``runs`` are timed runs of each model;
    ``say`` is told the share that is done (0..1) and what is being done. Raises InvalidInput or Retryable if
    a model cannot be run.
    """

    def part(index: int, role: str) -> Callable[[float], None]:
        return lambda share: say((index + share) * _ACCURACY_SHARE, f"evaluate the converted {role} model")

    tallies = [
        converted_tally(
            path,
            outputs,
            inputs,
            evaluation,
            dataset,
            scratch,
            part(index, role),
        )
        for index, (path, role) in enumerate(zip(models, ("baseline", "pruned"), strict=True))
    ]
    baseline, pruned = (tally.value() for tally in tallies)
    batch = first_batches(dataset, inputs, count=1)[0]
    samples = compare(
        *models,
        inputs,
        batch,
        warmup=warmup,
        runs=runs,
        scratch=scratch,
        report=lambda share: say(2 * _ACCURACY_SHARE + 0.35 * share, "time both models, interleaved"),
    )
    say(0.95, "measure peak memory")
    first, second = (peak_memory(path, inputs, batch, scratch) for path in models)
    return Pair(
        samples=samples,
        metrics=(baseline, pruned),
        drop=relative_drop(baseline, pruned, evaluation.goal),
        drop_interval=_interval(tallies[0], tallies[1], baseline, evaluation),
        peak_bytes=(first, second),
    )


def _interval(
    baseline: Tally, pruned: Tally, metric: float, evaluation: Evaluation
) -> tuple[float, float] | None:
    built_in, goal = built_in_metric(evaluation), evaluation.goal
    if built_in is None or metric == 0:
        return None
    if built_in.is_mean:
        low, high = statistics.of_means(baseline.kept, pruned.kept, abs(metric))
        return (low, high) if goal is Goal.MAXIMIZE else (-high, -low)
    return statistics.of_values(
        baseline.kept,
        pruned.kept,
        lambda a, b: relative_drop(built_in.value(a), built_in.value(b), goal),
    )
