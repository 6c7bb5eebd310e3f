"""Races: each cut is measured on as few samples as its interval needs.

Each sample is seen by the uncut net and by the cut one, and what counts is the difference of the two
scores, and how far the outputs moved that the metric does not judge: it varies far less than the score
itself. Intervals are those of
:class:`~secateur_jobs.pruning.sensitivity.confidence.MeanInterval`, so they hold however often one looks;
the confidence is shared evenly among all cuts of the job (Bonferroni), so that all of them hold at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation, Goal, Sensitivity
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.sensitivity.confidence import MeanInterval
from secateur_jobs.pruning.sensitivity.sweep import Cut, Sweep
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.batching import gather, spread
from secateur_jobs.training.drift import sample_errors, unjudged
from secateur_jobs.training.labels import check_labels
from secateur_jobs.training.metrics import SampleScores, sample_scores
from secateur_jobs.training.outputs import judged
from secateur_jobs.training.several_labels import judged_labels

_LOOKS = 64  # more looks than this at the whole set save few samples
_LEAST_BATCH = 16


@dataclass(frozen=True)
class Bounds:
    """What is known of one cut's loss: the relative drop of the metric from the baseline's, and the drift."""

    cut: Cut
    loss: float
    drift: float
    """The part of the loss that is not the metric's."""
    low: float
    high: float
    samples: int
    """How many samples it was measured on; 0 if it was not, since a smaller cut lies above the cap."""
    seconds: float


def scores_of(evaluation: Evaluation) -> SampleScores:
    """Return the metric's scores per sample; raises InvalidInput if it is no mean over samples."""
    scores = sample_scores(evaluation)
    if scores is None:
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.sensitivity.mode: bounded compares samples one by one, and {evaluation.metric} is no mean "
            "over samples; take exact, which works with every metric",
        )
    return scores


class _Runner:
    """One cut in the race."""

    def __init__(self, cut: Cut, interval: MeanInterval, baseline: float) -> None:
        self.cut, self._interval, self._baseline = cut, interval, abs(baseline)
        self._drift = 0.0
        self.seconds = 0.0

    def see(self, worse: np.ndarray, moved: np.ndarray, seconds: float) -> None:
        """Take samples: how much worse each score is, and how far other outputs moved."""
        together = np.minimum(worse + moved * self._baseline, 1.0)
        self._drift += float((together - worse).sum())
        self._interval.add(together)
        self.seconds += seconds

    def bounds(self) -> Bounds:
        interval = self._interval
        low, high = interval.low / self._baseline, interval.high / self._baseline
        loss = float(np.clip(interval.mean / self._baseline, low, high))
        drift = self._drift / max(interval.seen, 1) / self._baseline
        return Bounds(self.cut, loss, drift, low, high, interval.seen, self.seconds)


def decided(bounds: Bounds, tolerance: float, cap: float) -> bool:
    """Whether a cut needs no more samples.

    That is if its loss is surely above ``cap``, or else known to ``tolerance`` and surely not above.
    """
    return bounds.low > cap or ((bounds.high - bounds.low) / 2 <= tolerance and bounds.high <= cap)


def race(
    sweep: Sweep,
    dataset: paddle.io.Dataset,
    evaluation: Evaluation,
    scores: SampleScores,
    settings: Sensitivity,
    cuts: Sequence[Cut],
    *,
    baseline: float,
    comparisons: int,
    seed: int,
    on_batch: Callable[[float], None] = lambda share: None,
) -> Iterator[Bounds]:
    """Yield each of ``cuts`` (those of one group side by side) as soon as it is decided.

    ``baseline`` is the uncut net's metric on the same samples; ``comparisons`` is the number of intervals
    that shall hold at once, those of other processes included. The samples come in an order that ``seed``
    alone decides. A cut that is larger than one of the same group that lies above the cap by more than the
    tolerance is not measured: it gets that one's loss, with 0 samples. Cuts that are still open at the last
    sample are exact. Raises InvalidInput if ``baseline`` is 0, and as
    :func:`secateur_jobs.training.evaluate.evaluate`.
    """
    if baseline == 0:
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.sensitivity.dataFraction: {evaluation.metric} of the unpruned model is 0 on this share of "
            "the items that it is measured on, and nothing can drop from there; take a larger share",
        )
    chosen = spread(len(dataset), settings.data_fraction)
    order = chosen[np.random.default_rng(seed).permutation(len(chosen))]
    size = min(evaluation.batch_size, max(_LEAST_BATCH, -(-len(order) // _LOOKS)))
    alpha = (1 - settings.confidence) / comparisons
    resolution = settings.tolerance * abs(baseline) / 4
    sign = 1.0 if evaluation.goal is Goal.MAXIMIZE else -1.0
    open_ = {id(cut): _Runner(cut, MeanInterval(len(order), alpha, resolution), baseline) for cut in cuts}
    for start in range(0, len(order), size):
        *inputs, labels = gather(dataset, order[start : start + size])
        labels = judged_labels(labels, evaluation)
        before, uncut, others = None, np.zeros(0), []
        for result in sweep.run(inputs, [runner.cut for runner in open_.values()]):
            output = result.outputs.tensors[judged(result.outputs, evaluation)]
            if result.cut is None:
                check_labels(output.shape, labels, evaluation)
                uncut = _means(scores, output, labels)
                before, others = result.outputs, unjudged(result.outputs, evaluation)
            else:
                worse = sign * (uncut - _means(scores, output, labels))
                moved = np.zeros(len(worse))
                if before is not None and others:
                    moved = sample_errors(result.outputs, before, others)
                open_[id(result.cut)].see(worse, moved, result.seconds)
        at_end = start + size >= len(order)
        yield from _leave(open_, settings, at_end)
        on_batch(1 - len(open_) / len(cuts) * (1 - min(start + size, len(order)) / len(order)))
        if not open_:
            return


def _means(scores: SampleScores, output: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return one score per sample, shape [batch]."""
    return np.asarray(scores(output, labels).reshape(len(output), -1).mean(axis=1, dtype=np.float64))


def _leave(open_: dict[int, _Runner], settings: Sensitivity, at_end: bool) -> list[Bounds]:
    """Take the decided cuts out of ``open_``, and those beyond them; smaller cuts first."""
    left: list[Bounds] = []
    above: dict[str, Bounds] = {}
    for key, runner in sorted(open_.items(), key=lambda item: item[1].cut.ratio):
        group, bounds = runner.cut.group.name, runner.bounds()
        if group in above and not decided(bounds, settings.tolerance, settings.cap):
            known = above[group]
            bounds = Bounds(runner.cut, known.loss, known.drift, known.low, known.high, 0, runner.seconds)
        elif not at_end and not decided(bounds, settings.tolerance, settings.cap):
            continue
        if bounds.samples and bounds.low > settings.cap + settings.tolerance:
            above.setdefault(group, bounds)
        left.append(bounds)
        del open_[key]
    return left
