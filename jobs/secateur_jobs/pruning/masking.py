"""The masked net: what a net gives that does not use some channels, all tensors whole. It equals the cut one.

At every consumer the weights of the removed input channels are zero. (Zeroing the producers instead would not
do: a bias, a normalisation or a sigmoid behind them revives the channel.) A layer normalisation takes mean
and variance over the kept channels alone, since a removed one would count whatever its value (Ba, Kiros and
Hinton, "Layer Normalization", 2016, equation 3, over the last axis).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup, Keep, norms_kept
from secateur_jobs.pruning.layers import named_layers

Forward = Callable[..., Any]


class Forwards:
    """The layers whose ``forward`` is another one now. An instance's own, where it had one, comes back."""

    def __init__(self) -> None:
        self._before: list[tuple[paddle.nn.Layer, Forward | None]] = []

    def put(self, layer: paddle.nn.Layer, forward: Forward) -> None:
        """Let ``layer`` run ``forward``."""
        self._before.append((layer, layer.__dict__.get("forward")))
        layer.__dict__["forward"] = forward

    def restore(self) -> None:
        """Take all back, the last first."""
        while self._before:
            layer, own = self._before.pop()
            if own is None:
                layer.__dict__.pop("forward", None)
            else:
                layer.__dict__["forward"] = own


@contextmanager
def other_forwards(forwards: Mapping[paddle.nn.Layer, Forward]) -> Iterator[None]:
    """While it lasts, layers run what ``forwards`` says."""
    put = Forwards()
    try:
        for layer, forward in forwards.items():
            put.put(layer, forward)
        yield
    finally:
        put.restore()


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


class Mask:
    """Masks channels of some groups of one net, ``layers`` by structured name."""

    def __init__(self, layers: Mapping[str, paddle.nn.Layer], groups: Sequence[ChannelGroup]) -> None:
        self._groups, self._forwards = groups, Forwards()
        self._pieces = [
            (group.name, piece, getattr(layers[piece.layer], piece.parameter))
            for group in groups
            for piece in group.slices_of("in")
        ]
        self._originals = {id(p): (p, p.clone().detach()) for *_, p in self._pieces}
        self._norms = {norm.layer: layers[norm.layer] for group in groups for norm in group.norms}
        consumers = dict.fromkeys(name for group in groups for name in group.consumers)
        self.layers = [*(layers[name] for name in consumers), *self._norms.values()]
        """The layers that a mask changes: what runs before the first of them stays as it is."""

    def apply(self, keep: Keep) -> None:
        """Mask the channels that ``keep`` does not keep, for all groups; replaces an earlier mask."""
        masked = {key: original for key, (_, original) in self._originals.items()}
        for group, piece, parameter in self._pieces:
            shape = [1] * parameter.ndim
            shape[piece.axis] = -1
            mask = paddle.to_tensor(piece.kept(np.asarray(keep[group], bool)).reshape(shape))
            masked[id(parameter)] = masked[id(parameter)] * mask.astype(parameter.dtype)
        for key, (parameter, _) in self._originals.items():
            parameter.set_value(masked[key])
        self._forwards.restore()
        for name, kept in norms_kept(self._groups, keep).items():
            if not kept.all():
                self._forwards.put(self._norms[name], over_kept(self._norms[name], kept))

    def remove(self) -> None:
        """Give weights and layers back, bit for bit."""
        for parameter, original in self._originals.values():
            parameter.set_value(original)
        self._forwards.restore()
