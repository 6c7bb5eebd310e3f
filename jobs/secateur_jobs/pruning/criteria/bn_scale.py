"""Absolute scale of the batch normalisations that the channels run through (mean, where there are several).

Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", 2017, section 3.
"""

from __future__ import annotations

import numpy as np

from secateur_api.conditions import Reason
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.runtime.errors import InvalidInput


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per channel, shape [channels].

    Raises InvalidInput if the group has no batch normalisation with a scale.
    """
    layers = named_layers(net)
    scales = [
        np.abs(layers[piece.layer].weight.numpy()[np.argsort(piece.owner)])
        for piece in group.slices_of("other")
        if piece.parameter == "weight"
        and isinstance(layers[piece.layer], paddle.nn.layer.norm._BatchNormBase)
        and len(piece.owner) == group.channels
    ]
    if not scales:
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.pruning.criterion: bn_scale needs a batch normalisation behind every layer that is cut; "
            f"{group.name} has none; l1_norm and taylor do without",
        )
    return np.asarray(np.mean(scales, axis=0))
