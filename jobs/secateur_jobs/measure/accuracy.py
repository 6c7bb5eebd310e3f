"""The metric of a converted model, by the code that measures Paddle's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from secateur_api.spec import Evaluation, InputSpec
from secateur_jobs.conversion.batches import fit
from secateur_jobs.conversion.converted import ConvertedModel
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.evaluate import evaluate_with
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
