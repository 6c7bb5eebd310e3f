"""Random scores, as a control: what a criterion is worth is what it gains over them."""

from __future__ import annotations

import zlib

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.engine import ChannelGroup


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per unit, shape [units], evenly spread over 0..1; the seed and the name decide."""
    return np.random.default_rng([calibration.seed, zlib.crc32(group.name.encode())]).random(group.channels)
