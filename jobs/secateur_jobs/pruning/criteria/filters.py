"""The filters of the layers that produce a group, and how the scores of several layers become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup, Slice
from secateur_jobs.pruning.layers import named_layers


def filters_of(net: paddle.nn.Layer, group: ChannelGroup) -> list[np.ndarray]:
    """Return each producing weight, the leader's first, one row per unit: [units, weights of a unit].

    Biases are left out. A unit of several positions (the rows of a head) is their concatenation.
    """
    layers = named_layers(net)
    pieces = sorted(group.slices_of("out"), key=lambda piece: piece.layer != group.producers[0])
    weights = [(piece, getattr(layers[piece.layer], piece.parameter).numpy()) for piece in pieces]
    return [_rows(weight, piece, group.channels) for piece, weight in weights if weight.ndim > 1]


def _rows(weight: np.ndarray, piece: Slice, units: int) -> np.ndarray:
    filters = np.moveaxis(weight, piece.axis, 0).reshape(weight.shape[piece.axis], -1)
    positions = np.argsort(piece.owner, kind="stable")[(piece.owner < 0).sum() :]
    counts = np.bincount(piece.owner[positions], minlength=units)
    rank = np.arange(len(positions)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.zeros((units, int(counts.max()), filters.shape[1]), filters.dtype)
    rows[piece.owner[positions], rank] = filters[positions]
    return rows.reshape(units, -1)


def mean_over_layers(filters: Sequence[np.ndarray], score: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Score each layer's filters [units, weights] by itself, and average the layers' relative scores."""
    return np.asarray(np.mean([relative(score(rows)) for rows in filters], axis=0))


def relative(scores: np.ndarray) -> np.ndarray:
    """Divide by the mean, which no order changes; all zeros stay."""
    mean = float(np.mean(scores, dtype=np.float64))
    return np.asarray(scores, np.float64) / (mean if mean > 0 else 1.0)
