"""Stop where an epoch surely gains less than is worth its time, judged on training items that were held back.

The evaluation set has no say: it judges the result, and a choice by it would flatter that.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from secateur_api.spec import EarlyStop, Evaluation, Goal
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.batching import gather, spread
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.training.metrics import SampleScores
from secateur_jobs.training.outputs import judged
from secateur_jobs.training.several_labels import judged_labels

_MOST, _BYTES = 2048, 2**28
NONE_HELD = "fineTune.earlyStop has no effect: no training items are held back to judge by"


class Watch:
    """Compares the net with what it was at the last look, sample by sample."""

    def __init__(
        self,
        settings: EarlyStop,
        evaluation: Evaluation,
        scores: SampleScores,
        held: paddle.io.Dataset,
        baseline: float,
    ) -> None:
        """``held`` are items that no training sees, of which some are kept in memory; ``baseline`` is the
        unpruned model's metric."""
        most = min(_MOST, max(1, _BYTES // sum(column.nbytes for column in gather(held, [0]))))
        self._columns = gather(held, spread(len(held), min(1.0, most / len(held))))
        self._scores, self._evaluation, self._settings = scores, evaluation, settings
        self._least = settings.gain * abs(baseline)
        self._last: np.ndarray | None = None

    def look(self, net: paddle.nn.Layer) -> float | None:
        """Return the upper bound on the gain since the last look if it is too small; else None."""
        now, before = self._measure(net), self._last
        self._last = now
        if before is None:
            return None
        better = now - before if self._evaluation.goal is Goal.MAXIMIZE else before - now
        bound = upper_bound(better, self._settings.confidence)
        return bound if bound < self._least else None

    def _measure(self, net: paddle.nn.Layer) -> np.ndarray:
        """Return one score per held item, 0..1; the net's mode is kept."""
        found = []
        size = self._evaluation.batch_size
        with eval_mode(net), paddle.no_grad():
            for start in range(0, len(self._columns[0]), size):
                *inputs, labels = (column[start : start + size] for column in self._columns)
                outputs = forward(net, inputs)
                output = outputs.tensors[judged(outputs, self._evaluation)].numpy()
                scores = self._scores(output, judged_labels(labels, self._evaluation))
                found.append(np.asarray(scores, np.float64).reshape(len(labels), -1).mean(axis=1))
        return np.concatenate(found)


def upper_bound(differences: np.ndarray, confidence: float) -> float:
    """Return the upper confidence bound on the mean of paired differences [n] in -1..1.

    The adjusted Wald bound for matched pairs of Agresti and Min ("Simple improved confidence intervals for
    comparing matched proportions", 2005): half a pair is added to each of the four outcomes, so that few
    samples without any change prove nothing.
    """
    n = len(differences) + 2
    mean = differences.sum() / n
    variance = (np.square(differences).sum() + 1) / n - mean**2
    return float(mean + NormalDist().inv_cdf(confidence) * np.sqrt(variance / n))


def no_effect(evaluation: Evaluation) -> str:
    """Say why there is no early stop for a metric."""
    return f"fineTune.earlyStop has no effect: {evaluation.metric} is no mean over samples"
