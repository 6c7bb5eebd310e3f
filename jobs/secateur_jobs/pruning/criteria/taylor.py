"""Squared sum of weight x gradient over each channel's weights: the estimated loss of removing it.

Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019, equation 8, per filter, averaged
over calibration batches and summed over all layers that produce the channel.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.engine import ChannelGroup


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per channel, shape [channels]."""
    scores = np.zeros(group.channels)
    for products in calibration.weight_gradients:
        by_layer: dict[str, np.ndarray] = {}
        for piece in group.slices_of("out"):
            product = products.get((piece.layer, piece.parameter, piece.axis))
            if product is not None:
                sums = by_layer.setdefault(piece.layer, np.zeros(group.channels))
                mine = piece.owner >= 0
                np.add.at(sums, piece.owner[mine], product[mine])
        scores += sum(np.square(sums) for sums in by_layer.values())
    return scores / len(calibration.weight_gradients)
