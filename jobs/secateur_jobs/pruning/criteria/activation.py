"""Mean absolute activation, as the layers that consume the channel receive it, on calibration samples.

Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference", 2017, section
2.2 ("Activation"). Summed over the consumers, each relative to the largest of its channels.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.engine import ChannelGroup


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per channel, shape [channels]."""
    scores = np.zeros(group.channels)
    for piece in group.slices_of("in"):
        mean = calibration.mean_inputs.get(piece.layer)
        if mean is None or piece.parameter != "weight":
            continue
        mine = piece.owner >= 0
        received = np.zeros(group.channels)
        np.add.at(received, piece.owner[mine], mean[mine])
        scores += received / max(received.max(), np.finfo(np.float64).tiny)
    return scores
