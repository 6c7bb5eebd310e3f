"""The filters of a group's leading layer."""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.layers import named_layers


def leader_filters(net: paddle.nn.Layer, group: ChannelGroup) -> np.ndarray:
    """Return the leading layer's weights, one row per channel: [channels, weights of a filter]."""
    weight = named_layers(net)[group.name].weight
    piece = next(s for s in group.slices_of("out") if (s.layer, s.parameter) == (group.name, "weight"))
    return np.moveaxis(weight.numpy(), piece.axis, 0).reshape(group.channels, -1)
