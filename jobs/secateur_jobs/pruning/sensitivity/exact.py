"""The metric of every cut on every sample: what cutting, evaluating and restoring one by one would give.

The metric is that of the masked net. Its outputs differ from the cut net's in the last bits only (a sum
with zeros in it is added up in another order), so a metric that counts hits is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.sensitivity.sweep import Cut, Result, Sweep
from secateur_jobs.training.batching import spread
from secateur_jobs.training.drift import Drift, unjudged
from secateur_jobs.training.reading import in_order
from secateur_jobs.training.tally import Tally

HELD_BYTES = 2**30
"""Most that the outputs of the cuts of one pass may take."""
PASS_SECONDS = 600.0
"""About how long one pass may take, where that leaves it enough cuts: what a crash can cost."""
_LEAST_TOGETHER = 9  # with fewer, running the uncut net once in each pass would cost more than it saves


@dataclass(frozen=True)
class Metric:
    """One cut's metric, and the seconds that its forward passes took."""

    cut: Cut
    value: float
    drift: float
    """How far the outputs that the metric does not judge moved, see ``Drift.error``."""
    seconds: float


def measure(
    sweep: Sweep,
    dataset: paddle.io.Dataset,
    evaluation: Evaluation,
    fraction: float,
    cuts: Sequence[Cut],
    on_batch: Callable[[float], None] = lambda share: None,
) -> Iterator[Metric]:
    """Yield the metric of each of ``cuts`` on ``fraction`` of ``dataset``, pass by pass.

    A pass runs all batches for as many cuts as memory and :data:`PASS_SECONDS` allow. ``cuts`` of one
    group stand side by side; ``on_batch`` hears the share of all work that is done. Raises InvalidInput as
    :func:`secateur_jobs.training.evaluate.evaluate`.
    """
    batches = -(-len(spread(len(dataset), fraction)) // evaluation.batch_size)
    *inputs, labels = next(in_order(dataset, evaluation.batch_size, fraction))
    (uncut,) = sweep.run(inputs, [])
    others = unjudged(uncut.outputs, evaluation)
    per_pass = _cuts_per_pass(uncut, labels, evaluation, batches)
    for done in range(0, len(cuts), per_pass):
        together = cuts[done : done + per_pass]
        tallies = {id(cut): Tally(evaluation) for cut in together}
        drifts = {id(cut): Drift() for cut in together}
        seconds = {id(cut): 0.0 for cut in together}
        for index, (*inputs, labels) in enumerate(in_order(dataset, evaluation.batch_size, fraction)):
            for result in sweep.run(inputs, together, uncut=bool(others)):
                if result.cut is None:
                    uncut = result
                    continue
                tallies[id(result.cut)].add(result.outputs, labels)
                drifts[id(result.cut)].add(result.outputs, uncut.outputs, others)
                seconds[id(result.cut)] += result.seconds
            on_batch((done + len(together) * (index + 1) / batches) / len(cuts))
        for cut in together:
            yield Metric(cut, tallies[id(cut)].value(), drifts[id(cut)].error, seconds[id(cut)])


def _cuts_per_pass(uncut: Result, labels: np.ndarray, evaluation: Evaluation, batches: int) -> int:
    """Return how many cuts one pass may have, by what the uncut net needs for one batch."""
    tally = Tally(evaluation)
    tally.add(uncut.outputs, labels)
    by_time = PASS_SECONDS / (uncut.seconds * batches)
    by_memory = HELD_BYTES / (tally.nbytes * batches)
    return max(1, int(min(by_memory, max(by_time, _LEAST_TOGETHER))))
