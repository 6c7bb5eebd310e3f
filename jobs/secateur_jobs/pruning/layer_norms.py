"""Layer normalisation over some of its channels, or with a weight on each.

Ba, Kiros and Hinton, "Layer Normalization", 2016, equation 3, over the last axis.
"""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.forwards import Forward
from secateur_jobs.pruning.layers import named_layers

F = paddle.nn.functional


def layer_norms(net: paddle.nn.Layer) -> dict[str, paddle.nn.LayerNorm]:
    """Return the layer normalisations over one axis by structured name."""
    return {
        name: layer
        for name, layer in named_layers(net).items()
        if isinstance(layer, paddle.nn.LayerNorm) and len(layer._normalized_shape) == 1
    }


def over_kept(norm: paddle.nn.LayerNorm, kept: np.ndarray, removed: Forward | None = None) -> Forward:
    """Return a ``forward`` whose mean and variance are those of the ``kept`` channels (bool) alone.

    The other channels get what ``removed`` gives them for the same input; zeros without it.
    """
    places = np.full(len(kept), int(kept.sum()))  # beyond the kept ones: a zero
    places[kept] = np.arange(int(kept.sum()))
    chosen, back = paddle.to_tensor(np.flatnonzero(kept)), paddle.to_tensor(places)
    others = paddle.to_tensor((~kept).astype("float32"))

    def forward(input: paddle.Tensor) -> paddle.Tensor:  # named as LayerNorm names it
        x = paddle.index_select(input, chosen, input.ndim - 1)
        weight, bias = (
            None if tensor is None else paddle.index_select(tensor, chosen)
            for tensor in (norm.weight, norm.bias)
        )
        y = F.layer_norm(x, int(kept.sum()), weight, bias, norm._epsilon)
        y = paddle.concat([y, paddle.zeros([*y.shape[:-1], 1], y.dtype)], -1)
        y = paddle.index_select(y, back, y.ndim - 1)
        return y if removed is None else y + removed(input) * others.astype(y.dtype)

    return forward


def weighted(norm: paddle.nn.LayerNorm, x: paddle.Tensor, weights: paddle.Tensor) -> paddle.Tensor:
    """Normalise ``x`` [..., channels] with each channel counted ``weights`` times; all ones change nothing.

    Where a channel's weight is 0 the others get what they get without it; the mean and the variance are
    differentiable by the weights.
    """
    total = weights.sum(-1, keepdim=True)
    mean = (x * weights).sum(-1, keepdim=True) / total
    variance = ((x - mean).square() * weights).sum(-1, keepdim=True) / total
    y = (x - mean) * paddle.rsqrt(variance + norm._epsilon)
    y = y if norm.weight is None else y * norm.weight
    return y if norm.bias is None else y + norm.bias
