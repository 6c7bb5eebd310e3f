"""Give a consumer its mean output back, in its bias or in the batch normalisation behind it.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.2 (the
empirical correction), for removed channels instead of rounded weights. A linear layer's mean output is its
output for the mean input, so nothing has to be run but the layer, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.readers import channel_axis
from secateur_jobs.pruning.repair.consumers import Consumer
from secateur_jobs.pruning.repair.observation import Means
from secateur_jobs.training.evaluate import forward

_BATCH_NORM = paddle.nn.layer.norm._BatchNormBase


def mean_output(layer: paddle.nn.Layer, inputs: Means) -> np.ndarray:
    """Return the mean of a linear layer's output over samples and positions, per output channel."""
    total, samples = 0.0, 0
    for shape, summed in inputs.sums.items():
        count = inputs.counts[shape]
        with paddle.no_grad():
            output = layer.forward(paddle.to_tensor((summed / count).astype("float32"))).numpy()
        axes = tuple(axis for axis in range(output.ndim) if axis != channel_axis(layer, output.ndim))
        total = total + output.astype(np.float64).mean(axis=axes) * count
        samples += count
    return np.asarray(total / samples)


def absorb(layer: paddle.nn.Layer, norm: paddle.nn.Layer | None, shift: np.ndarray) -> bool:
    """Take ``shift`` [outputs], by which the mean output rose, out again; say whether there was a place."""
    if layer.bias is not None:
        layer.bias.set_value((layer.bias.numpy() - shift).astype("float32"))
        return True
    if norm is not None:
        norm._mean.set_value((norm._mean.numpy() + shift).astype("float32"))
        return True
    return False


def following_norms(
    net: paddle.nn.Layer, consumers: Sequence[Consumer], inputs: list[np.ndarray]
) -> dict[str, paddle.nn.Layer]:
    """Return for each consumer the batch normalisation that takes its output as it is, where there is one."""
    outputs: list[tuple[str, Any]] = []
    found: dict[str, paddle.nn.Layer] = {}

    def leave(name: str) -> Any:
        return lambda layer, inputs, output: outputs.append((name, output))

    def enter(layer: Any, inputs: Any) -> None:
        found.update({name: layer for name, output in outputs if inputs and output is inputs[0]})

    handles = [c.layer.register_forward_post_hook(leave(c.name)) for c in consumers]
    norms = [layer for layer in net.sublayers() if isinstance(layer, _BATCH_NORM)]
    handles += [layer.register_forward_pre_hook(enter) for layer in norms]
    try:
        net.eval()
        with paddle.no_grad():
            forward(net, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found
