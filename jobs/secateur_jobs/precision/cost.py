"""What storing one weight in 8 bits costs: how far the outputs move if that weight alone is rounded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.precision.lite_weights import Weight, restored
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.training.outputs import judged_or_all
from secateur_jobs.training.reading import in_order

_SAMPLES = 256


def costs_of(
    net: paddle.nn.Layer, weights: Sequence[Weight], dataset: paddle.io.Dataset, evaluation: Evaluation
) -> dict[str, float]:
    """Return the relative change (Euclidean) of the judged output for each weight that the net has.

    Of several outputs that are judged the one that changes most counts. Only finite ones. Seen on at most 256
    samples, spread over ``dataset``. A channel's scale commutes with a folded BatchNorm, so this is the
    change of the converted model. The net is left as it was.
    """
    parameters = {tensor.name: tensor for tensor in net.parameters()}
    fraction = min(1.0, _SAMPLES / len(dataset))
    batches = [columns[:-1] for columns in in_order(dataset, evaluation.batch_size, fraction)]

    def outputs() -> list[np.ndarray]:
        found = [forward(net, batch).arrays() for batch in batches]
        names = judged_or_all(found[0], evaluation)
        parts = ([one.tensors[name].reshape(-1) for one in found] for name in names)
        return [np.concatenate(part).astype(np.float64) for part in parts]

    costs = {}
    with eval_mode(net), paddle.no_grad():
        before = outputs()
        for weight in weights:
            tensor = parameters.get(weight.name)
            if tensor is None:
                continue
            kept = tensor.numpy().copy()
            tensor.set_value(restored(kept, 8, weight.axis))
            cost = float(np.max([_moved(one, other) for one, other in zip(before, outputs(), strict=True)]))
            if np.isfinite(cost):
                costs[weight.name] = cost
            tensor.set_value(kept)
    return costs


def _moved(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.linalg.norm(after - before)) / (float(np.linalg.norm(before)) or 1.0)
