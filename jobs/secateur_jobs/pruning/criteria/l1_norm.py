"""Mean absolute weight of each unit's filters, in every layer that produces it.

Li et al., "Pruning Filters for Efficient ConvNets", 2017, section 3.1. Relative to the layer's mean, averaged
over the layers; a group of one layer is ordered as by PaddleSlim's L1NormFilterPruner.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria.filters import filters_of, mean_over_layers
from secateur_jobs.pruning.engine import ChannelGroup


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per unit, shape [units]."""
    return mean_over_layers(filters_of(net, group), lambda rows: np.mean(np.abs(rows), axis=1))
