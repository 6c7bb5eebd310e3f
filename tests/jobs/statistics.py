"""Normalisation statistics as training leaves them, without the training."""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle


def like_trained(net: paddle.nn.Layer) -> paddle.nn.Layer:
    """Give normalisations the statistics of a trained net: with 0 and 1 everywhere a wrong cut can hide."""
    random = np.random.default_rng(0)
    for layer in net.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            for parameter in (layer.weight, layer._variance):
                parameter.set_value(random.uniform(0.5, 1.5, parameter.shape).astype("float32"))
            for parameter in (layer.bias, layer._mean):
                parameter.set_value(random.normal(0, 0.3, parameter.shape).astype("float32"))
        if isinstance(layer, paddle.nn.LayerNorm):
            for parameter in layer.parameters():
                shift = random.uniform(-0.5, 0.5, parameter.shape).astype("float32")
                parameter.set_value(parameter.numpy() + shift)
    net.eval()
    return net
