"""Measure the metric of a network, or of a converted model, on a data set: the same code for both."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from secateur_api.spec import AGREEMENT, Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.answers import judged_by
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.training.outputs import Outputs
from secateur_jobs.training.reading import in_batches, in_order
from secateur_jobs.training.tally import Tally


def evaluate(
    net: paddle.nn.Layer, dataset: paddle.io.Dataset, evaluation: Evaluation, fraction: float = 1.0
) -> float:
    """Return the metric of ``net`` on an evenly spread share of ``dataset``; the net's mode is kept.

    Where the data set's labels are answers that is agreement with them.

    Raises InvalidInput(DATASET_INVALID) for an item that raises or a label out of range.
    """
    tally = Tally(judged_by(dataset, evaluation))
    with eval_mode(net), paddle.no_grad():
        for *inputs, labels in in_order(dataset, evaluation.batch_size, fraction):
            tally.add(forward(net, inputs).arrays(), labels)
    return tally.value()


def evaluate_unpruned(net: paddle.nn.Layer, dataset: paddle.io.Dataset, evaluation: Evaluation) -> float:
    """Return the metric of the unpruned ``net``; its agreement with itself is 1 by definition."""
    return 1.0 if judged_by(dataset, evaluation).metric == AGREEMENT else evaluate(net, dataset, evaluation)


def evaluate_with(
    run: Callable[[list[np.ndarray]], Outputs],
    dataset: paddle.io.Dataset,
    evaluation: Evaluation,
    batch_size: int,
) -> Tally:
    """Return what the metric of a converted model follows from, on the whole of ``dataset``.

    ``run`` takes the inputs of exactly ``batch_size`` samples and returns all outputs, batch axis first.
    """
    tally = Tally(evaluation)
    for count, inputs, labels in full_batches(dataset, batch_size):
        tally.add(run(inputs).first(count), labels)
    return tally


def full_batches(
    dataset: paddle.io.Dataset, batch_size: int
) -> Iterator[tuple[int, list[np.ndarray], np.ndarray]]:
    """Yield the inputs of exactly ``batch_size`` samples, and the labels of those that count.

    The last batch is filled up by repeating its last sample; the number in front says how many count.
    """
    length = len(dataset)
    starts = range(0, length, batch_size)
    batches = [np.minimum(np.arange(start, start + batch_size), length - 1) for start in starts]
    for start, (*inputs, labels) in zip(starts, in_batches(dataset, batches), strict=True):
        count = min(batch_size, length - start)
        yield count, inputs, labels[:count]
