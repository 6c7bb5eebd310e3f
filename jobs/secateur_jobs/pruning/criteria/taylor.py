"""Squared sum of weight x gradient over each unit's weights: the estimated loss of removing it.

Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019, equation 8, per filter, averaged
over calibration batches and summed over all layers that produce the unit.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.readers import sum_to_units


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per unit, shape [units]."""
    scores = np.zeros(group.channels)
    batches = calibration.gradients.weights
    for products in batches:
        by_layer: dict[str, np.ndarray] = {}
        for piece in group.slices_of("out"):
            product = products.get((piece.layer, piece.parameter, piece.axis))
            if product is not None:
                sums = by_layer.setdefault(piece.layer, np.zeros(group.channels))
                sums += sum_to_units(product, piece.owner, group.channels)
        scores += sum((np.square(sums) for sums in by_layer.values()), np.zeros(group.channels))
    return scores / len(batches)
