"""What a group's consumers receive: which layers read its units, and where in their inputs.

Criteria that look at data and repair work on inputs, groups speak of axes of weights; this is the bridge. A
layer whose input cannot be watched (the recurrence inside an LSTM) is no reader; its slices are ``unseen``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup, Slice
from secateur_jobs.pruning.layers import CONVOLUTIONS, CUTTABLE, RECURRENT, named_layers

WATCHED = (*CUTTABLE, *RECURRENT)
"""Layers whose (first) input has a channel axis."""


@dataclass(frozen=True, eq=False)
class Reader:
    """One weight that multiplies the units of a group as its layer receives them."""

    layer: str
    parameter: str
    axis: int
    """Axis of the weight that runs along the layer's input channels."""
    owner: np.ndarray
    """For each input channel of the layer the unit it belongs to, -1 for none; int64."""


def watched_layers(net: paddle.nn.Layer) -> dict[str, paddle.nn.Layer]:
    """Return the layers that can be readers, by structured name."""
    return {name: layer for name, layer in named_layers(net).items() if isinstance(layer, WATCHED)}


def readers_of(
    layers: Mapping[str, paddle.nn.Layer], group: ChannelGroup
) -> tuple[list[Reader], list[Slice]]:
    """Return the readers of a group, and its ``in`` slices that are none; ``layers`` by structured name."""
    readers: list[Reader] = []
    unseen: list[Slice] = []
    for piece in group.slices_of("in"):
        channels = _input_channels(layers[piece.layer], piece.parameter)
        if channels is None:
            unseen.append(piece)
            continue
        # a grouped convolution's weight names the channels of one of its groups: all are cut alike
        owner = np.tile(piece.owner, channels // len(piece.owner))
        readers.append(Reader(piece.layer, piece.parameter, piece.axis, owner))
    return readers, unseen


def owners_by_layer(readers: list[Reader]) -> list[tuple[str, np.ndarray]]:
    """Return (layer, owner) once for each way in which a layer reads: both directions of an LSTM are one."""
    return list({(r.layer, r.owner.tobytes()): (r.layer, r.owner) for r in readers}.values())


def sum_to_units(values: np.ndarray, owner: np.ndarray, units: int) -> np.ndarray:
    """Sum the last axis, one value per position, to one value per unit: [..., positions] to [..., units]."""
    mine = np.flatnonzero(owner >= 0)
    total = np.zeros((units, *values.shape[:-1]))
    np.add.at(total, owner[mine], np.moveaxis(values, -1, 0)[mine])
    return np.moveaxis(total, 0, -1)


def _input_channels(layer: paddle.nn.Layer, parameter: str) -> int | None:
    """Return the number of input channels that a weight multiplies; None if it multiplies something else."""
    if isinstance(layer, RECURRENT):
        first = parameter in ("weight_ih_l0", "weight_ih_l0_reverse")
        return int(getattr(layer, parameter).shape[1]) if first else None
    if not isinstance(layer, CUTTABLE) or parameter != "weight":
        return None
    if isinstance(layer, CONVOLUTIONS):
        return int(layer.weight.shape[1]) * int(layer._groups)
    return int(layer.weight.shape[0])
