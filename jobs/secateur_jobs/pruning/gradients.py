"""Gradients of the training loss with respect to channels, of one backward sweep for all groups.

Outputs that the loss does not read take part as distillation will count them.

Each watched layer's input is multiplied by a mask of ones, one per sample and channel, and each layer
normalisation counts its channels by such a mask. The gradient of the loss with respect to it is what removing
the channel *for this layer* would cost that sample, to first order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import RECURRENT, channel_axis, named_layers
from secateur_jobs.pruning.masking import Forward, layer_norms, other_forwards, weighted
from secateur_jobs.pruning.readers import watched_layers
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.answers import drawn
from secateur_jobs.training.form import form_of, training_forward
from secateur_jobs.training.losses import loss_function
from secateur_jobs.training.outputs import Outputs

_TINY = 1e-12


@dataclass(frozen=True)
class Gradients:
    """What one sweep found; the loss is taken to be a mean over the samples of a batch."""

    masks: dict[str, np.ndarray]
    """Layer to the gradient of each sample's loss by the mask on its input: [samples, input channels].

    A layer normalisation's is by the mask that its mean and variance count channels by.
    """
    weights: list[dict[tuple[str, str, int], np.ndarray]]
    """For each batch, (layer, parameter, axis) to the sum of weight x gradient over all other axes."""
    batch_sizes: list[int]


def sweep(net: paddle.nn.Layer, batches: Sequence[list[np.ndarray]], evaluation: Evaluation) -> Gradients:
    """Run ``batches`` (inputs, then labels) forward and backward; weights and statistics stay as they are.

    Raises InvalidInput for a label out of range, a loss that is not finite, and what the user's loss raises.
    """
    form = form_of(net, batches[0], evaluation)
    loss_of = loss_function(evaluation, form)
    layers, norms = watched_layers(net), layer_norms(net)
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*layers, *norms)}
    weights, sizes = [], []
    random = np.random.default_rng(0)
    with _differentiable(net), form.shown(net), _gates(layers, norms) as gates:
        for batch in batches:
            size = len(batch[-1])
            gates.batch_size = size
            outputs = training_forward(net, batch[:-1], batch[-1])
            loss = loss_of(outputs, drawn(batch[-1], random))
            if not np.isfinite(float(loss)):
                raise _not_finite(evaluation, float(loss))
            unread = 0.0 if form.differs else probe(outputs, loss, random)
            (loss + unread).backward()
            for name, gradient in gates.take().items():
                found[name].append(gradient * size)
            weights.append(_products(net))
            sizes.append(size)
            net.clear_gradients()
    masks = {name: np.concatenate(parts) for name, parts in found.items() if parts}
    return Gradients(masks, weights, sizes)


def probe(outputs: Outputs, loss: paddle.Tensor, random: np.random.Generator) -> paddle.Tensor | float:
    """Return what gives the outputs that ``loss`` does not read a say; 0 where it reads all.

    There are no labels for them. Removing a channel moves such an output by d; to be scored is the mean of
    d^2 in units of the output's mean square, as distillation will count it. To first order <output, e>, with
    e normal at random, changes by <d, e>, whose square is d^2 in the mean (Hutchinson 1990).
    """
    floats = {name: t for name, t in outputs.floats.items() if not t.stop_gradient}
    if len(floats) < 2:
        return 0.0
    read = paddle.grad(loss, list(floats.values()), retain_graph=True, allow_unused=True)
    unread = [output for output, gradient in zip(floats.values(), read, strict=True) if gradient is None]
    total: paddle.Tensor | float = 0.0
    for output in (one.astype("float32") for one in unread):
        direction = paddle.to_tensor(random.standard_normal(output.shape).astype("float32"))
        scale = float(output.square().mean()) ** 0.5 + _TINY
        samples = output.shape[0] if output.ndim else 1
        share = math.sqrt(2 / (output.size * samples))  # its gradient's square, halved, is then the mean
        total = total + (output * direction).sum() * (share / scale)
    return total


def _not_finite(evaluation: Evaluation, loss: float) -> InvalidInput:
    return InvalidInput(
        Reason.TRAINING_DIVERGED,
        f"spec.evaluation.loss: {evaluation.loss} is {loss} on training samples, and the criterion needs its "
        "gradient; look at the loss, the data and the weights",
    )


@contextmanager
def _differentiable(net: paddle.nn.Layer) -> Iterator[None]:
    """Evaluation mode; Paddle's recurrent operator has no gradient there, so it trains, without dropout."""
    recurrent = [layer for layer in net.sublayers(include_self=True) if isinstance(layer, RECURRENT)]
    dropouts = [layer.dropout for layer in recurrent]
    net.eval()
    try:
        for layer in recurrent:
            layer.training, layer.dropout = True, 0.0
        yield
    finally:
        for layer, dropout in zip(recurrent, dropouts, strict=True):
            layer.training, layer.dropout = False, dropout
        net.clear_gradients()


class _Gates:
    """Puts masks of ones on inputs of layers; holds the masks of the current batch."""

    def __init__(self) -> None:
        self.batch_size = 0
        self._masks: list[tuple[str, paddle.Tensor, int | None]] = []

    def hook(self, name: str) -> Any:
        """Return a pre-hook that multiplies a layer's input."""

        def multiply(layer: Any, inputs: Any) -> Any:
            if not inputs or not inputs[0].is_floating_point():  # called by keyword: not seen
                return None
            return (inputs[0] * self._mask(name, layer, inputs[0]), *inputs[1:])

        return multiply

    def counting(self, name: str, norm: paddle.nn.LayerNorm) -> Forward:
        """Return a layer normalisation's ``forward`` that counts channels by a mask."""

        def forward(input: paddle.Tensor) -> paddle.Tensor:  # named as LayerNorm names it
            return weighted(norm, input, self._mask(name, norm, input))

        return forward

    def _mask(self, name: str, layer: Any, x: paddle.Tensor) -> paddle.Tensor:
        shape = [1] * x.ndim
        channels = channel_axis(layer, x.ndim)
        shape[channels] = x.shape[channels]
        batch = self._batch_axis(layer, x)
        if batch is not None:
            shape[batch] = x.shape[batch]
        mask = paddle.ones(shape, x.dtype)
        mask.stop_gradient = False
        self._masks.append((name, mask, batch))
        return mask

    def _batch_axis(self, layer: Any, x: paddle.Tensor) -> int | None:
        """Return the axis that the samples run along, alone or as the slower of two merged axes."""
        if getattr(layer, "time_major", False):
            return 1
        if x.shape[0] == self.batch_size:
            return 0
        if x.ndim > 2 and x.shape[1] == self.batch_size and channel_axis(layer, x.ndim) != 1:
            return 1
        return 0 if x.shape[0] % self.batch_size == 0 else None

    def take(self) -> dict[str, np.ndarray]:
        """Return the masks' gradients, [samples, channels], summed over the calls of a layer; forget them."""
        found: dict[str, np.ndarray] = {}
        for name, mask, batch in self._masks:
            # None: what the layer gives does not reach the loss
            gradient = paddle.zeros_like(mask) if mask.grad is None else mask.grad
            rows = self._per_sample(gradient.numpy().astype(np.float64), batch)
            found[name] = found.get(name, 0.0) + rows
        self._masks.clear()
        return found

    def _per_sample(self, gradient: np.ndarray, batch: int | None) -> np.ndarray:
        channels = gradient.size if batch is None else gradient.size // gradient.shape[batch]
        if batch is not None:
            return gradient.reshape(self.batch_size, -1, channels).sum(axis=1)
        # no axis is the batch's: as of independent samples, of which each has an equal share of the square
        return np.tile(gradient.reshape(1, channels) / np.sqrt(self.batch_size), (self.batch_size, 1))


@contextmanager
def _gates(layers: dict[str, paddle.nn.Layer], norms: dict[str, paddle.nn.LayerNorm]) -> Iterator[_Gates]:
    gates = _Gates()
    handles = [layer.register_forward_pre_hook(gates.hook(name)) for name, layer in layers.items()]
    try:
        with other_forwards({norm: gates.counting(name, norm) for name, norm in norms.items()}):
            yield gates
    finally:
        for handle in handles:
            handle.remove()


def _products(net: paddle.nn.Layer) -> dict[tuple[str, str, int], np.ndarray]:
    found: dict[tuple[str, str, int], np.ndarray] = {}
    for name, layer in named_layers(net).items():
        for attribute, parameter in layer._parameters.items():
            if parameter is None or parameter.grad is None:
                continue
            product = parameter.numpy().astype(np.float64) * parameter.grad.numpy()
            for axis in range(min(product.ndim, 2)):
                others = tuple(i for i in range(product.ndim) if i != axis)
                found[(name, attribute, axis)] = product.sum(axis=others)
    return found
