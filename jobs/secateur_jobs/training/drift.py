"""How far the outputs that nobody judges have moved: they must not fall unseen.

The metric may judge one of several outputs; of the others there are no labels, but the unpruned net's own.
"""

from __future__ import annotations

import numpy as np

from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.training.outputs import Outputs, has_built_in_metric, judged
from secateur_jobs.training.reading import in_order

_TINY = 1e-12


def unjudged(outputs: Outputs, evaluation: Evaluation) -> list[str]:
    """Return the outputs of floating point that the metric does not judge; a user's metric is given all."""
    if not has_built_in_metric(evaluation):
        return []
    name = judged(outputs, evaluation)
    return [other for other in outputs.floats if other != name]


def note_of(outputs: Outputs, evaluation: Evaluation) -> list[str]:
    """Say which output is judged, where there are others; nothing where it is the only one."""
    others = unjudged(outputs, evaluation)
    if not others:
        return []
    shapes = ", ".join(f"{name} {list(outputs.tensors[name].shape)}" for name in others)
    return [
        f"{evaluation.metric} judges output {judged(outputs, evaluation)}; the others ({shapes}) are "
        "distilled, count in every cut's loss, and are reported, but no constraint bounds them"
    ]


def sample_errors(found: Outputs, wanted: Outputs, names: list[str]) -> np.ndarray:
    """Return for each sample the squared difference of its outputs ``names``, summed over them; float64 [N].

    Each is the mean over the sample's numbers, in units of the mean square of ``wanted`` over the batch; of
    an output without a batch axis each sample has the same.
    """
    samples = max(len(t) if t.ndim else 1 for t in wanted.tensors.values())
    total = np.zeros(samples)
    for name in names:
        reference = wanted.tensors[name].astype(np.float64)
        squares = np.square(found.tensors[name] - reference)
        rows = squares.reshape(samples, -1).mean(axis=1) if len(squares) == samples else squares.mean()
        total += rows / (np.square(reference).mean() + _TINY)
    return total


class Drift:
    """Adds up, batch by batch (arrays), how far outputs are from what they were."""

    def __init__(self) -> None:
        self._difference: dict[str, float] = {}
        self._scale: dict[str, float] = {}

    def add(self, found: Outputs, wanted: Outputs, names: list[str]) -> None:
        """Take a batch of both."""
        for name in names:
            reference = wanted.tensors[name].astype(np.float64)
            difference = float(np.square(found.tensors[name] - reference).sum())
            self._difference[name] = self._difference.get(name, 0.0) + difference
            self._scale[name] = self._scale.get(name, 0.0) + float(np.square(reference).sum())

    @property
    def errors(self) -> dict[str, float]:
        """Output to its mean squared difference, in units of the mean square that it had."""
        return {name: total / (self._scale[name] + _TINY) for name, total in self._difference.items()}

    @property
    def error(self) -> float:
        """The sum over the outputs."""
        return sum(self.errors.values())


def drift(
    net: paddle.nn.Layer, unpruned: paddle.nn.Layer, dataset: paddle.io.Dataset, evaluation: Evaluation
) -> Drift:
    """Compare the outputs of two nets that nobody judges on a data set; their modes are kept."""
    found = Drift()
    with eval_mode(net), eval_mode(unpruned), paddle.no_grad():
        for *inputs, _ in in_order(dataset, evaluation.batch_size):
            outputs = forward(net, inputs)
            names = unjudged(outputs, evaluation)
            if not names:
                break
            found.add(outputs.arrays(), forward(unpruned, inputs).arrays(), names)
    return found
