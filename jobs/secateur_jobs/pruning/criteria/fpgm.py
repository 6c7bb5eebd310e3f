"""Sum of the distances of each unit's filters to those of all others: what is near to the rest goes.

He et al., "Filter Pruning via Geometric Median", 2019, equation 7. Relative to the layer's mean, averaged
over the layers that produce the unit; a group of one layer is ordered as by PaddleSlim's FPGMFilterPruner.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria.filters import filters_of, mean_over_layers
from secateur_jobs.pruning.engine import ChannelGroup


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per unit, shape [units]."""
    return mean_over_layers(filters_of(net, group), lambda rows: cdist(rows, rows).sum(axis=1))
