"""Mean absolute weight of each filter of the leading layer.

Li et al., "Pruning Filters for Efficient ConvNets", 2017, section 3.1; as PaddleSlim's L1NormFilterPruner,
which it equals.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria.filters import leader_filters
from secateur_jobs.pruning.engine import ChannelGroup


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per channel, shape [channels]."""
    return np.asarray(np.mean(np.abs(leader_filters(net, group)), axis=1))
