"""Group Fisher information of a mask on each unit: the estimated loss of removing it, to second order.

Liu et al., "Group Fisher Pruning for Practical Network Compression", 2021, section 3.2: for each sample the
gradient of the loss with respect to the mask, summed over positions and over all coupled consumers *before*
it is squared, then the mean over samples. It needs labels and one backward sweep for all groups.
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
    return sum((np.square(draws).mean(axis=0) for draws in found), np.zeros(group.channels))
