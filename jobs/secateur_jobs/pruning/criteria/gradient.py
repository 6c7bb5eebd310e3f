"""Mean absolute gradient of a mask on each unit: the estimated loss of removing it, to first order.

Michel, Levy and Neubig, "Are Sixteen Heads Really Better than One?", 2019, equation 2 (for heads);
Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference", 2017, equation 8
(for feature maps). Summed over positions and over all coupled consumers before the absolute value is taken.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria.masks import mask_gradients
from secateur_jobs.pruning.engine import ChannelGroup


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per unit, shape [units]."""
    found = mask_gradients(net, group, calibration.gradients)
    return sum((np.abs(draws).mean(axis=0) for draws in found), np.zeros(group.channels))
