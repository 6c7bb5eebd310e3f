"""The processes that train one net together, data-parallel: each computes the gradient of its samples."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from secateur_api.stage import ExitCode
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.parallel.lines import lost

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
