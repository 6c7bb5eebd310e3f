"""What each cut costs, estimated from one backward sweep: for an order and a first look, not to decide.

To second order, with the Fisher information in place of the Hessian (Liu et al., "Group Fisher Pruning for
Practical Network Compression", 2021, section 3.2), removing a set R of channels raises the mean loss by half
the mean over the samples of (the sum over R of the gradient by the channels' masks) squared.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria import mask_gradients
from secateur_jobs.pruning.sensitivity.sweep import Cut


def rise(net: paddle.nn.Layer, cut: Cut, calibration: Calibration) -> float:
    """Return by how much a cut is estimated to raise the training loss, at least 0."""
    found = mask_gradients(net, cut.group, calibration.gradients)
    return 0.5 * sum(float(np.square(draws[:, ~cut.keep].sum(axis=1)).mean()) for draws in found)


def relative_drop(rise_of_loss: float) -> float:
    """Return the relative drop of the metric, 0..1, that a rise of the loss stands for.

    Where the loss is a cross-entropy this is exact for the geometric mean of the probabilities that the
    model gives the right answers: it falls to ``exp(-rise)`` of what it was.
    """
    return float(-np.expm1(-rise_of_loss))
