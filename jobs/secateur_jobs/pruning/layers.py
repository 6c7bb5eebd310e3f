"""The layers of a net as pruning sees them: names, kinds, widths."""

from __future__ import annotations

from dataclasses import dataclass

from secateur_jobs.paddle_env import paddle

CONVOLUTIONS = (paddle.nn.Conv1D, paddle.nn.Conv2D, paddle.nn.Conv3D)
TRANSPOSED = (paddle.nn.Conv1DTranspose, paddle.nn.Conv2DTranspose, paddle.nn.Conv3DTranspose)
RECURRENT = (paddle.nn.SimpleRNN, paddle.nn.LSTM, paddle.nn.GRU)
CUTTABLE = (*CONVOLUTIONS, *TRANSPOSED, paddle.nn.Linear)
ROOT = "(model)"
"""Name of a net that is itself a convolution or linear layer."""


def named_layers(net: paddle.nn.Layer) -> dict[str, paddle.nn.Layer]:
    """Return every layer by structured name, the net itself as ``(model)``."""
    return {name or ROOT: layer for name, layer in net.named_sublayers(include_self=True)}


def cuttable_layers(net: paddle.nn.Layer) -> dict[str, paddle.nn.Layer]:
    """Return the layers with output channels of their own by structured name, in the order of definition.

    These are convolution, linear, recurrent and embedding layers.
    """
    kinds = (*CUTTABLE, *RECURRENT, paddle.nn.Embedding)
    return {name: layer for name, layer in named_layers(net).items() if isinstance(layer, kinds)}


def is_depthwise(layer: paddle.nn.Layer) -> bool:
    """Whether a convolution has one input channel per group (its outputs follow its inputs)."""
    return isinstance(layer, CONVOLUTIONS) and layer._groups > 1 and int(layer.weight.shape[1]) == 1


def width(layer: paddle.nn.Layer) -> int:
    """Return the number of output channels of one of :func:`cuttable_layers` (hidden units)."""
    if isinstance(layer, RECURRENT):
        return int(layer.weight_hh_l0.shape[1])
    if isinstance(layer, CONVOLUTIONS):
        return int(layer.weight.shape[0])
    if isinstance(layer, TRANSPOSED):
        return int(layer.weight.shape[1]) * int(layer._groups)
    return int(layer.weight.shape[-1])


@dataclass(frozen=True)
class Home:
    """Where a parameter lives."""

    layer_name: str
    attribute: str
    layer: paddle.nn.Layer
    parameter: paddle.Tensor


def homes(net: paddle.nn.Layer) -> dict[str, Home]:
    """Return the place of every parameter by its Paddle name; a shared one lives where it is found first."""
    found: dict[str, Home] = {}
    for name, layer in named_layers(net).items():
        for attribute, parameter in layer._parameters.items():
            if parameter is not None and parameter.name not in found:
                found[parameter.name] = Home(name, attribute, layer, parameter)
    return found
