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
from secateur_jobs.pruning.gradients import Gradients, sweep
from secateur_jobs.pruning.layers import channel_axis
from secateur_jobs.pruning.readers import watched_layers
from secateur_jobs.training.batching import gather, shuffled
from secateur_jobs.training.forward import eval_mode, forward

SAMPLES = 256
BATCH_SIZE = 64


@dataclass
class Calibration:
    """``samples`` seeded items of the training set, in batches, seen by one net in evaluation mode."""

    net: paddle.nn.Layer
    dataset: paddle.io.Dataset
    evaluation: Evaluation
    seed: int = 0
    samples: int = SAMPLES

    @cached_property
    def batches(self) -> list[list[np.ndarray]]:
        """Batches of columns: inputs, then labels; batch axis first."""
        count = min(self.samples, len(self.dataset))
        random = np.random.default_rng(self.seed)
        chosen = random.permutation(len(self.dataset))[:count]
        return [gather(self.dataset, chosen[batch]) for batch in shuffled(count, BATCH_SIZE, random)]

    @cached_property
    def mean_inputs(self) -> dict[str, np.ndarray]:
        """Mean absolute value of each input channel of each watched layer that ran."""
        sums: dict[str, np.ndarray] = {}
        calls: dict[str, int] = {}

        def watch(name: str) -> Callable[[Any, Any], None]:
            def hook(layer: Any, inputs: Any) -> None:
                if not inputs:  # called by keyword: not seen
                    return
                x = inputs[0]
                axes = [axis for axis in range(x.ndim) if axis != channel_axis(layer, x.ndim)]
                sums[name] = sums.get(name, 0.0) + x.abs().mean(axes).numpy().astype(np.float64)
                calls[name] = calls.get(name, 0) + 1

            return hook

        handles = [
            layer.register_forward_pre_hook(watch(name)) for name, layer in watched_layers(self.net).items()
        ]
        try:
            with eval_mode(self.net), paddle.no_grad():
                for batch in self.batches:
                    forward(self.net, batch[:-1])
        finally:
            for handle in handles:
                handle.remove()
        return {name: total / calls[name] for name, total in sums.items()}

    @cached_property
    def gradients(self) -> Gradients:
        """Gradients of the training loss over the samples, normalisations in evaluation mode."""
        return sweep(self.net, self.batches, self.evaluation)
