"""Fit a consumer's kept weights so that it gives, from the kept channels, what it gave from all of them.

Ridge regression of the removed input channels on the kept ones, folded into the consumer's weights: "GRAIL"
(2026), and the reconstruction step of He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural
Networks", 2017, equation 3. The map acts on channels alone, so it fits any kernel size and any number of
positions: ``W_k += R W_p`` with ``R = (G_kk + ridge * mean(diag G_kk) * I)^-1 G_kp``.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Tried in turn; the one with the smallest held-out error is taken."""


def fit(weights: np.ndarray, keep: np.ndarray, fitted: np.ndarray, held_out: np.ndarray) -> np.ndarray | None:
    """Return the new weights of the kept channels, or None where no fit is better than none.

    ``weights``: [channels, outputs], what each input channel contributes; ``keep``: bool [channels];
    ``fitted``, ``held_out``: second moments of the inputs, [channels, channels], of different samples. Better
    means a smaller squared error of the output on the held-out samples. Result: [kept channels, outputs].
    """
    gram, cross = fitted[np.ix_(keep, keep)], fitted[np.ix_(keep, ~keep)]
    scale = float(np.mean(np.diag(gram)))
    if not scale > 0:
        return None
    lost = weights[~keep]
    least, best = error(np.zeros(cross.shape), lost, keep, held_out), None
    for ridge in RIDGES:
        try:
            factor = cho_factor(gram + ridge * scale * np.eye(len(gram)))
        except LinAlgError:  # moments of float32 are rounded; a larger ridge covers that
            continue
        stand_in = cho_solve(factor, cross)
        remaining = error(stand_in, lost, keep, held_out)
        if remaining < least:
            least, best = remaining, stand_in
    return None if best is None else weights[keep] + best @ lost


def error(stand_in: np.ndarray, lost: np.ndarray, keep: np.ndarray, moments: np.ndarray) -> float:
    """Return the mean squared error of a consumer's outputs, summed over them.

    ``stand_in``: [kept, removed], each removed channel as a sum of kept ones; ``lost``: [removed, outputs].
    """
    residual = np.zeros((len(keep), lost.shape[0]))  # removed channel minus its stand-in, over all channels
    residual[~keep] = np.eye(lost.shape[0])
    residual[keep] = -stand_in
    effect = residual @ lost
    return float(np.sum(effect * (moments @ effect)))
