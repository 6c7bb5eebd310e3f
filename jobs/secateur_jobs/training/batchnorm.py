"""Recalibrate batch normalisation after a cut: the running statistics are still those of the uncut net."""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.batching import gather, shuffled
from secateur_jobs.training.forward import forward

BATCH_NORM = (paddle.nn.BatchNorm, paddle.nn.BatchNorm1D, paddle.nn.BatchNorm2D, paddle.nn.BatchNorm3D)


def recalibrate(
    net: paddle.nn.Layer, dataset: paddle.io.Dataset, batches: int, batch_size: int, seed: int
) -> None:
    """Replace running means and variances by their mean over ``batches`` seeded batches; weights stay.

    PreciseBN (Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 3; ``fvcore.nn.precise_bn``):
    the k-th batch enters with momentum (k-1)/k, which makes the running value the exact mean so far. Only
    batch normalisation is in training mode meanwhile; the net is left in evaluation mode.
    """
    layers = [layer for layer in net.sublayers(include_self=True) if isinstance(layer, BATCH_NORM)]
    if not layers:
        return
    size = min(batch_size, len(dataset))
    order = shuffled(len(dataset), size, np.random.default_rng(seed))[:batches]
    momenta = [layer._momentum for layer in layers]
    net.eval()
    try:
        for layer in layers:
            layer.train()
        with paddle.no_grad():
            for k, indices in enumerate(order, start=1):
                for layer in layers:
                    layer._momentum = (k - 1) / k
                forward(net, gather(dataset, indices)[:-1])
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer._momentum = momentum
        net.eval()
