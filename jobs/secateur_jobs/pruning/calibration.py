"""A few training samples and what a net does with them, for criteria that look at data.

Everything is computed when a criterion first asks, once for all groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import cuttable_layers, named_layers
from secateur_jobs.training.batching import gather, shuffled
from secateur_jobs.training.evaluate import forward
from secateur_jobs.training.losses import loss_function

SAMPLES = 256
BATCH_SIZE = 64


@dataclass
class Calibration:
    """``SAMPLES`` seeded items of the training set, in batches, seen by one net in evaluation mode."""

    net: paddle.nn.Layer
    dataset: paddle.io.Dataset
    evaluation: Evaluation
    seed: int = 0

    @cached_property
    def batches(self) -> list[list[np.ndarray]]:
        """Batches of columns: inputs, then labels; batch axis first."""
        count = min(SAMPLES, len(self.dataset))
        random = np.random.default_rng(self.seed)
        chosen = random.permutation(len(self.dataset))[:count]
        return [gather(self.dataset, chosen[batch]) for batch in shuffled(count, BATCH_SIZE, random)]

    @cached_property
    def mean_inputs(self) -> dict[str, np.ndarray]:
        """Mean absolute value of each input channel of each convolution and linear layer that ran."""
        sums: dict[str, np.ndarray] = {}
        calls: dict[str, int] = {}

        def watch(name: str, is_linear: bool) -> Callable[[Any, Any], None]:
            def hook(layer: Any, inputs: Any) -> None:
                x = inputs[0]
                axes = [axis for axis in range(x.ndim) if axis != (x.ndim - 1 if is_linear else 1)]
                sums[name] = sums.get(name, 0.0) + x.abs().mean(axes).numpy().astype(np.float64)
                calls[name] = calls.get(name, 0) + 1

            return hook

        handles = [
            layer.register_forward_pre_hook(watch(name, isinstance(layer, paddle.nn.Linear)))
            for name, layer in cuttable_layers(self.net).items()
        ]
        try:
            self.net.eval()
            with paddle.no_grad():
                for batch in self.batches:
                    forward(self.net, batch[:-1])
        finally:
            for handle in handles:
                handle.remove()
        return {name: total / calls[name] for name, total in sums.items()}

    @cached_property
    def weight_gradients(self) -> list[dict[tuple[str, str, int], np.ndarray]]:
        """For each batch, (layer, parameter, axis) to the sum of weight x gradient over all other axes.

        The gradient is that of the training loss, with normalisations in evaluation mode.
        """
        loss_of = loss_function(self.evaluation)
        found = []
        self.net.eval()
        for batch in self.batches:
            loss_of(forward(self.net, batch[:-1]), paddle.to_tensor(batch[-1])).backward()
            found.append(_products(self.net))
            self.net.clear_gradients()
        return found


def _products(net: paddle.nn.Layer) -> dict[tuple[str, str, int], np.ndarray]:
    found: dict[tuple[str, str, int], np.ndarray] = {}
    for name, layer in named_layers(net).items():
        for attribute, parameter in layer._parameters.items():
            if parameter is None or parameter.grad is None:
                continue
            product = parameter.numpy().astype(np.float64) * parameter.grad.numpy()
            for axis in range(min(product.ndim, 2)):
                others = tuple(i for i in range(product.ndim) if i != axis)
                found[(name, attribute, axis)] = product.sum(axis=others)
    return found
