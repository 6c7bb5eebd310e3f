"""Absolute scale of the batch normalisations that a unit runs through (mean, where there are several).

Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", 2017, section 3, which ranks
the scales of all layers together.
"""

from __future__ import annotations

import numpy as np

from secateur_api.conditions import Reason
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.pruning.readers import sum_to_units
from secateur_jobs.runtime.errors import InvalidInput


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per unit, shape [units].

    Raises InvalidInput if no batch normalisation with a scale follows some unit of the group.
    """
    layers = named_layers(net)
    total, positions = np.zeros(group.channels), np.zeros(group.channels)
    for piece in group.slices_of("other"):
        layer = layers[piece.layer]
        if piece.parameter == "weight" and isinstance(layer, paddle.nn.layer.norm._BatchNormBase):
            scale = np.abs(layer.weight.numpy())
            total += sum_to_units(scale, piece.owner, group.channels)
            positions += sum_to_units(np.ones_like(scale), piece.owner, group.channels)
    if not positions.all():
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.pruning.criterion: bn_scale needs a batch normalisation behind every layer that is cut; "
            f"{group.name} has none; l1_norm and fisher do without",
        )
    return total / positions
