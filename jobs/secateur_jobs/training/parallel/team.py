"""The processes that train one net together, data-parallel: each computes the gradient of its samples.

Batch normalisation is over the whole batch of which each holds a part. Paddle's own SyncBatchNorm has no CPU
kernel and is another layer class; here the layers stay what they are, and only their forward pass in training
is another for a while.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import numpy as np

from secateur_api.stage import ExitCode
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.batchnorm import BATCH_NORM
from secateur_jobs.training.parallel.rendezvous import lost

_SUM_SECONDS = 600.0
"""A sum that takes longer has lost a process: gloo finds out by itself, NCCL may wait for ever."""


class Team(Protocol):
    """What the training loop needs to know of the processes it is one of."""

    rank: int
    """0..size-1; the first one leads: it evaluates, decides and commits."""
    size: int

    def part(self, batch: np.ndarray) -> np.ndarray:
        """Return this process's share of a batch's indices: nearly equal parts, none left out."""

    def sum_gradients(self, parameters: Sequence[paddle.Tensor], value: float) -> float:
        """Replace each gradient by its sum over the team; return the sum of ``value``."""

    def sum(self, tensor: paddle.Tensor) -> paddle.Tensor:
        """Return the sum of a float32 tensor over the team; no gradient flows through it."""


class Alone:
    """The team of one process."""

    rank = 0
    size = 1

    def part(self, batch: np.ndarray) -> np.ndarray:
        return batch

    def sum_gradients(self, parameters: Sequence[paddle.Tensor], value: float) -> float:
        return value

    def sum(self, tensor: paddle.Tensor) -> paddle.Tensor:
        return tensor


ALONE = Alone()


class Workers:
    """Several processes that ``paddle.distributed`` has joined: by gloo on CPUs, by NCCL on GPUs."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def part(self, batch: np.ndarray) -> np.ndarray:
        return np.array_split(batch, self.size)[self.rank]

    def sum_gradients(self, parameters: Sequence[paddle.Tensor], value: float) -> float:
        """See ``Team``. One sum of all in one array: many small ones would wait for the network each."""
        with paddle.no_grad():
            present = [float(p.grad is not None) for p in parameters]
            flat = [
                (p.grad if p.grad is not None else paddle.zeros_like(p)).astype("float32").reshape([-1])
                for p in parameters
            ]
            whole = self.sum(paddle.concat([paddle.to_tensor([value, *present], "float32"), *flat]))
            head, *parts = paddle.split(whole, [1 + len(parameters), *(int(p.size) for p in parameters)])
            total, *counts = head.numpy().tolist()
            for parameter, part, count in zip(parameters, parts, counts, strict=True):
                if count > 0:  # a parameter that no sample of the batch reached has no gradient, as ever
                    parameter.grad = part.reshape(parameter.shape).astype(parameter.dtype)
        return float(total)

    def sum(self, tensor: paddle.Tensor) -> paddle.Tensor:
        summed = tensor.detach().clone()
        try:
            with _watched(_SUM_SECONDS):
                paddle.distributed.all_reduce(summed)
        except (RuntimeError, ValueError, OSError) as error:
            raise lost(str(error).strip().splitlines()[-1][-200:]) from None
        return summed


@contextmanager
def _watched(seconds: float) -> Iterator[None]:
    """End this process as a retryable fault if the body takes longer: nothing raises from a blocked call."""
    timer = threading.Timer(seconds, _end, [lost(f"no answer in {seconds:.0f} s").message])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(message: str) -> None:
    print(message, file=sys.stderr, flush=True)  # noqa: T201  (the last line of the log is what is shown)
    os._exit(int(ExitCode.RETRYABLE))


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
