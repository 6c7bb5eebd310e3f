"""The cost model of a net: which weights shrink with which groups, from the groups' slices."""

from __future__ import annotations

import math
from collections.abc import Sequence

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.cost import CostModel, Part
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.pruning.macs import Counts

Axes = tuple[dict[str, float], dict[str, float]]


def cost_model(
    net: paddle.nn.Layer, groups: Sequence[ChannelGroup], counts: Counts, quantity: str
) -> CostModel:
    """Return the cost of ``quantity`` (``macs`` or ``params``) of the uncut ``net`` by its groups' widths.

    At full width it equals ``counts``. Products outside convolution and linear layers stay constant.
    """
    shares = _shares(groups)
    parts: list[Part] = []
    for name, layer in named_layers(net).items():
        for attribute, parameter in layer._parameters.items():
            if parameter is None:
                continue
            if quantity == "params":
                size = 0 if parameter.stop_gradient else math.prod(parameter.shape)
            else:
                size = counts.layers.get(name, 0) if attribute == "weight" else 0
            axes = shares.get((name, attribute))
            if size and axes is not None:
                parts.append(Part(size, *axes))
    constant = getattr(counts, quantity) - sum(part.size for part in parts)
    return CostModel([group.name for group in groups], parts, constant)


def _shares(groups: Sequence[ChannelGroup]) -> dict[tuple[str, str], Axes]:
    """Return for each cut parameter the share of its first and of its second axis that is each group's."""
    found: dict[tuple[str, str], Axes] = {}
    for group in groups:
        for piece in group.slices:
            axes = found.setdefault((piece.layer, piece.parameter), ({}, {}))
            owned = float((piece.owner >= 0).mean())
            mine = axes[min(piece.axis, 1)]
            mine[group.name] = mine.get(group.name, 0.0) + owned
    return found
