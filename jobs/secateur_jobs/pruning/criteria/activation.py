"""Mean absolute activation, as the layers that consume the unit receive it, on calibration samples.

Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference", 2017, section
2.2 ("Activation"). Relative to the consumer's mean, averaged over the consumers. A consumer whose input
cannot be seen (the recurrence of an LSTM) has no say; without any other the scores are equal.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria.filters import relative
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.readers import owners_by_layer, readers_of, sum_to_units, watched_layers


def score(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Return one score per unit, shape [units]."""
    readers, _ = readers_of(watched_layers(net), group)
    received = [
        relative(sum_to_units(calibration.mean_inputs[layer], owner, group.channels))
        for layer, owner in owners_by_layer(readers)
        if layer in calibration.mean_inputs
    ]
    return np.asarray(np.mean(received, axis=0)) if received else np.ones(group.channels)
