"""Sum of the distances of each filter of the leading layer to all its others: what is near to the rest goes.

He et al., "Filter Pruning via Geometric Median", 2019, equation 7; as PaddleSlim's FPGMFilterPruner, which
it equals.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria.filters import leader_filters
from secateur_jobs.pruning.engine import ChannelGroup


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per channel, shape [channels]."""
    filters = leader_filters(net, group)
    return np.asarray(cdist(filters, filters).sum(axis=1))
