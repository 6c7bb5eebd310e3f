"""What consumers receive in the uncut net: second moments and means of their inputs, in one sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.readers import channel_axis
from secateur_jobs.pruning.repair.consumers import Consumer
from secateur_jobs.training.evaluate import forward

LARGEST_GRAM = 4096
"""Input channels beyond which no second moments are taken: their matrix would be more than 128 MiB."""


@dataclass
class Observation:
    """One consumer's inputs over all samples and positions."""

    fitted: np.ndarray | None
    """Mean of x x' over the first three quarters of each batch, [channels, channels]; None: not taken."""
    held_out: np.ndarray | None
    """The same over the rest."""
    means: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict)
    """Sum over the samples of the input as a whole, batch axis of 1, by its shape without the batch axis."""
    counts: dict[tuple[int, ...], int] = field(default_factory=dict)
    """Samples in each sum."""


def observe(
    net: paddle.nn.Layer, consumers: Sequence[Consumer], batches: Sequence[list[np.ndarray]]
) -> dict[str, Observation]:
    """Run ``batches`` (inputs, then labels) in evaluation mode; layers that did not run are left out."""
    found: dict[str, Observation] = {}

    def watch(consumer: Consumer) -> Any:
        def hook(layer: Any, inputs: Any) -> None:
            if not inputs:  # called by keyword: not seen
                return
            channels = len(consumer.keep)
            if consumer.name not in found:
                square = channels <= LARGEST_GRAM
                zeros = [np.zeros((channels, channels)) if square else None for _ in range(2)]
                found[consumer.name] = Observation(*zeros)
            _add(found[consumer.name], inputs[0], channel_axis(layer, inputs[0].ndim))

        return hook

    handles = [c.layer.register_forward_pre_hook(watch(c)) for c in consumers]
    try:
        net.eval()
        with paddle.no_grad():
            for batch in batches:
                forward(net, batch[:-1])
    finally:
        for handle in handles:
            handle.remove()
    return found


def _add(seen: Observation, x: paddle.Tensor, axis: int) -> None:
    if seen.fitted is not None and seen.held_out is not None:
        rows = paddle.moveaxis(x, axis, -1).reshape([-1, x.shape[axis]]) if x.ndim > 2 else x
        first = -(-3 * rows.shape[0] // 4)
        seen.fitted += _gram(rows[:first])
        seen.held_out += _gram(rows[first:])
    shape = tuple(x.shape[1:])
    seen.means[shape] = seen.means.get(shape, 0.0) + x.sum(axis=0, keepdim=True).numpy().astype(np.float64)
    seen.counts[shape] = seen.counts.get(shape, 0) + int(x.shape[0])


def _gram(rows: paddle.Tensor) -> np.ndarray:
    if rows.shape[0] == 0:
        return np.zeros((rows.shape[1], rows.shape[1]))
    return paddle.matmul(rows, rows, transpose_x=True).numpy().astype(np.float64)
