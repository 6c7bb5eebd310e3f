"""The layers of a net as pruning sees them: names, kinds, widths.

Apart from their tensors some layers say how many groups, heads, channels or hidden units they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secateur_jobs.paddle_env import paddle

CONVOLUTIONS = (paddle.nn.Conv1D, paddle.nn.Conv2D, paddle.nn.Conv3D)
TRANSPOSED = (paddle.nn.Conv1DTranspose, paddle.nn.Conv2DTranspose, paddle.nn.Conv3DTranspose)
RECURRENT = (paddle.nn.SimpleRNN, paddle.nn.LSTM, paddle.nn.GRU)
CUTTABLE = (*CONVOLUTIONS, *TRANSPOSED, paddle.nn.Linear)
_CHANNEL_LAST = (paddle.nn.Linear, paddle.nn.Embedding, paddle.nn.LayerNorm, *RECURRENT)
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


def channel_axis(layer: paddle.nn.Layer, ndim: int) -> int:
    """Return the axis of a layer's input or output of ``ndim`` axes along which the channels run."""
    if isinstance(layer, _CHANNEL_LAST):
        return ndim - 1
    layout = str(getattr(layer, "_data_format", None) or getattr(layer, "_data_layout", "NCHW"))
    return 1 if layout.startswith("NC") or ndim == 2 else ndim - 1


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


nn = paddle.nn
_CELLS = (nn.LSTMCell, nn.GRUCell, nn.SimpleRNNCell)
_NORMS = (nn.layer.norm._BatchNormBase, nn.layer.norm._InstanceNormBase)
_WIDTHS = (
    *("_groups", "_in_channels", "_out_channels", "_num_features", "_num_channels", "_num_groups"),
    *("_num_embeddings", "_embedding_dim", "_size", "_num_parameters", "_normalized_shape"),
    *("input_size", "hidden_size", "num_heads", "embed_dim", "kdim", "vdim"),
)

Attributes = list[tuple[paddle.nn.Layer, str, Any]]


def read_widths(net: paddle.nn.Layer) -> Attributes:
    """Return the attributes of all layers that a cut may change."""
    return [
        (layer, name, layer.__dict__[name])
        for layer in net.sublayers(include_self=True)
        for name in _WIDTHS
        if name in layer.__dict__
    ]


def write_widths(attributes: Attributes) -> None:
    """Set attributes as they were read."""
    for layer, name, value in attributes:
        setattr(layer, name, value)


def describe_widths(net: paddle.nn.Layer) -> None:
    """Make the layers' own attributes say what their tensors are, after tensors were cut or loaded.

    Convolutions' ``_groups``, group normalisations' ``_num_groups`` and the shape of layer normalisations
    without parameters do not follow from tensors: they must be right before. Some attributes decide what
    forward does (hidden size, heads), others are only read by ``repr``, exporters and users.
    """
    for layer in net.sublayers(include_self=True):
        _describe(layer)


def _describe(layer: paddle.nn.Layer) -> None:
    if isinstance(layer, CONVOLUTIONS):
        layer._out_channels = int(layer.weight.shape[0])
        layer._in_channels = int(layer.weight.shape[1]) * int(layer._groups)
    elif isinstance(layer, TRANSPOSED):
        layer._in_channels = int(layer.weight.shape[0])
        layer._out_channels = int(layer.weight.shape[1]) * int(layer._groups)
    elif isinstance(layer, _NORMS):
        weight = getattr(layer, "weight", None)
        weight = getattr(layer, "scale", None) if weight is None else weight
        layer._num_features = int(layer._num_features if weight is None else weight.shape[0])
    elif isinstance(layer, nn.GroupNorm):
        layer._num_channels = int(layer.weight.shape[0])
    elif isinstance(layer, nn.LayerNorm):
        tensor = layer.bias if layer.weight is None else layer.weight
        if tensor is not None and len(layer._normalized_shape) == 1:
            layer._normalized_shape = [int(tensor.shape[0])]
    elif isinstance(layer, nn.PReLU):
        layer._num_parameters = int(layer._weight.shape[0])
    elif isinstance(layer, nn.Embedding):
        layer._size = [int(size) for size in layer.weight.shape]
        layer._num_embeddings, layer._embedding_dim = layer._size
    elif isinstance(layer, RECURRENT):
        layer.input_size = int(layer.weight_ih_l0.shape[1])
        layer.hidden_size = int(layer.weight_hh_l0.shape[0]) // _gates(layer)
    elif isinstance(layer, _CELLS):
        layer.input_size = int(layer.weight_ih.shape[1])
        layer.hidden_size = int(layer.weight_hh.shape[0]) // _gates(layer)
    elif isinstance(layer, nn.MultiHeadAttention):
        layer.num_heads = int(layer.q_proj.weight.shape[1]) // int(layer.head_dim)
        layer.embed_dim, layer.kdim, layer.vdim = (
            int(projection.weight.shape[0]) for projection in (layer.q_proj, layer.k_proj, layer.v_proj)
        )


def _gates(layer: paddle.nn.Layer) -> int:
    """Return how many rows of the weights belong to one hidden unit."""
    if isinstance(layer, (nn.LSTM, nn.LSTMCell)):
        return 4
    return 3 if isinstance(layer, (nn.GRU, nn.GRUCell)) else 1
