"""Batch normalisation over the whole batch where several processes hold parts of it.

Paddle's own SyncBatchNorm has no CPU kernel and is another layer class; here the layers stay what they are,
and only their forward pass in training is another for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.batchnorm import BATCH_NORM
from secateur_jobs.training.parallel.team import Team


@contextmanager
def synchronised(net: paddle.nn.Layer, team: Team) -> Iterator[None]:
    """Let the net's batch normalisations use the statistics of the team's whole batch meanwhile."""
    layers = [layer for layer in net.sublayers(include_self=True) if isinstance(layer, BATCH_NORM)]
    if team.size == 1:
        layers = []
    for layer in layers:
        layer.forward = partial(_forward, layer, layer.forward, team)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the class's own shows again


def _forward(layer: Any, original: Any, team: Team, x: paddle.Tensor) -> paddle.Tensor:
    if not layer.training or layer._use_global_stats:
        return original(x)
    layout = getattr(layer, "_data_format", None) or layer._data_layout
    channel = x.ndim - 1 if layout.endswith("C") and x.ndim > 2 else 1
    axes = [axis for axis in range(x.ndim) if axis != channel]
    shape = [1 if axis != channel else -1 for axis in range(x.ndim)]
    values = x.astype("float32")
    count = team.sum(paddle.to_tensor([float(x.size / x.shape[channel])], "float32"))
    mean = _Sum.apply(values.sum(axes), team) / count
    centred = values - mean.reshape(shape)
    variance = _Sum.apply(centred.square().sum(axes), team) / count
    _keep_statistics(layer, mean, variance)
    y = centred * paddle.rsqrt(variance + layer._epsilon).reshape(shape)
    if layer.weight is not None:
        y = y * layer.weight.reshape(shape)
    if layer.bias is not None:
        y = y + layer.bias.reshape(shape)
    activation = getattr(layer, "_act", None)
    if activation:
        y = getattr(paddle.nn.functional, activation)(y)
    return y.astype(x.dtype)


def _keep_statistics(layer: Any, mean: paddle.Tensor, variance: paddle.Tensor) -> None:
    old = layer._momentum
    with paddle.no_grad():
        layer._mean.set_value(layer._mean * old + mean.detach() * (1 - old))
        layer._variance.set_value(layer._variance * old + variance.detach() * (1 - old))


class _Sum(paddle.autograd.PyLayer):
    """The sum over the team; each process's loss depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, team: Team) -> paddle.Tensor:
        ctx.team = team
        return team.sum(x)

    @staticmethod
    def backward(ctx: Any, grad: paddle.Tensor) -> paddle.Tensor:
        return ctx.team.sum(grad)
