"""Operators with parameters as Paddle's own layers: they train, are cut and are saved like any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from secateur_jobs.graph.program import Operation, Program
from secateur_jobs.paddle_env import paddle

nn = paddle.nn


@dataclass
class Built:
    """A layer in place of one operation, or of two where the next one adds its bias."""

    layer: paddle.nn.Layer
    weight: str
    """Name of its first parameter in the files; empty where it has none."""
    input: int
    output: int
    absorbed: list[Operation] = field(default_factory=list)
    """Operations that are done by the layer as well."""
    is_first_of_several: bool = False
    """Whether ``output`` is the first of a tuple that the layer returns."""


def build(program: Program, operation: Operation) -> Built | None:
    """Return the layer that does what ``operation`` does with its parameters; None where it has none."""
    builder = _BUILDERS.get(operation.name)
    return builder(program, operation) if builder is not None else None


def _convolution(program: Program, operation: Operation) -> Built | None:
    weight = program.parameter(operation.inputs[1])
    if weight is None:
        return None
    attributes, transposed = operation.attributes, "transpose" in operation.name
    groups = attributes["groups"]
    inside, outside = (
        (weight.shape[0], weight.shape[1] * groups)
        if transposed
        else (weight.shape[1] * groups, weight.shape[0])
    )
    bias = _Bias.find(program, operation.outputs[0], outside, is_last=False)
    settings = {
        "stride": attributes["strides"],
        "padding": padding_of(attributes),
        "dilation": attributes["dilations"],
        "groups": groups,
        "bias_attr": None if bias else False,
        "data_format": attributes["data_format"],
    }
    if transposed:
        settings["output_padding"] = attributes["output_padding"] or 0
    kind = _CONVOLUTIONS[(weight.ndim, transposed)]
    layer = kind(inside, outside, list(weight.shape[2:]), **settings)
    return _filled(program, operation, layer, weight, bias)


def _linear(program: Program, operation: Operation) -> Built | None:
    weight = program.parameter(operation.inputs[1])
    if weight is None or weight.ndim != 2 or operation.attributes["transpose_x"]:
        return None
    weight = weight.T if operation.attributes["transpose_y"] else weight
    bias = _Bias.find(program, operation.outputs[0], weight.shape[1], is_last=True)
    layer = nn.Linear(*weight.shape, bias_attr=None if bias else False)
    return _filled(program, operation, layer, weight, bias)


def _batch_norm(program: Program, operation: Operation) -> Built | None:
    mean, variance, scale, shift = (program.parameter(value) for value in operation.inputs[1:5])
    if mean is None or variance is None or scale is None or shift is None:
        return None
    attributes, rank = operation.attributes, len(operation.shapes[0] or ())
    last = attributes["data_format"] in ("NHWC", "NDHWC", "NLC")
    kind, formats = {
        2: (nn.BatchNorm1D, ("NC", "NC")),
        3: (nn.BatchNorm1D, ("NCL", "NLC")),
        4: (nn.BatchNorm2D, ("NCHW", "NHWC")),
        5: (nn.BatchNorm3D, ("NCDHW", "NDHWC")),
    }[rank]
    layer = kind(
        len(mean),
        momentum=attributes["momentum"],
        epsilon=attributes["epsilon"],
        data_format=formats[last],
    )
    layer._mean.set_value(mean)
    layer._variance.set_value(variance)
    layer.bias.set_value(shift)
    layer.weight.set_value(scale)
    return Built(layer, _name(program, operation.inputs[3]), _first(operation), _made(operation))


def _layer_norm(program: Program, operation: Operation) -> Built | None:
    weight, bias = (program.parameter(value) for value in operation.inputs[1:3])
    shape = operation.shapes[0] or []
    if operation.attributes["begin_norm_axis"] != len(shape) - 1 or shape[-1] < 1:
        return None
    layer = nn.LayerNorm(
        shape[-1],
        epsilon=operation.attributes["epsilon"],
        weight_attr=None if weight is not None else False,
        bias_attr=None if bias is not None else False,
    )
    for parameter, array in ((layer.weight, weight), (layer.bias, bias)):
        if parameter is not None:
            parameter.set_value(array)
    return Built(layer, _name(program, operation.inputs[1]), _first(operation), _made(operation))


def _group_norm(program: Program, operation: Operation) -> Built | None:
    weight, bias = (program.parameter(value) for value in operation.inputs[1:3])
    if weight is None or bias is None:
        return None
    attributes = operation.attributes
    layer = nn.GroupNorm(
        attributes["groups"],
        len(weight),
        epsilon=attributes["epsilon"],
        data_format=attributes["data_format"],
    )
    layer.weight.set_value(weight)
    layer.bias.set_value(bias)
    return Built(layer, _name(program, operation.inputs[1]), _first(operation), _made(operation))


def _instance_norm(program: Program, operation: Operation) -> Built | None:
    weight, bias = (program.parameter(value) for value in operation.inputs[1:3])
    kind = {3: nn.InstanceNorm1D, 4: nn.InstanceNorm2D}.get(len(operation.shapes[0] or ()))
    if weight is None or bias is None or kind is None:
        return None
    layer = kind(len(weight), epsilon=operation.attributes["epsilon"])
    layer.scale.set_value(weight)
    layer.bias.set_value(bias)
    return Built(layer, _name(program, operation.inputs[1]), _first(operation), _made(operation))


def _prelu(program: Program, operation: Operation) -> Built | None:
    weight, attributes = program.parameter(operation.inputs[1]), operation.attributes
    if weight is None or attributes["mode"] not in ("all", "channel"):
        return None
    layer = nn.PReLU(weight.size, data_format=attributes["data_format"])
    layer._weight.set_value(weight.reshape(-1))
    return Built(layer, _name(program, operation.inputs[1]), _first(operation), _made(operation))


def _recurrent(program: Program, operation: Operation) -> Built | None:
    """Layers of LSTM, GRU or plain cells, from states of zeros; their last states are used by nobody."""
    attributes, (x, states, weights, *_) = operation.attributes, operation.inputs
    kind = {"LSTM": nn.LSTM, "GRU": nn.GRU}.get(attributes["mode"])
    out, _, after, *_ = operation.outputs
    arrays = [program.parameter(value) for value in _parts(program, weights)]
    if kind is None or after in program.users or x is None or any(array is None for array in arrays):
        return None
    if not all(_is_zero(program, value) for value in _parts(program, states)):
        return None
    layer = kind(
        attributes["input_size"],
        attributes["hidden_size"],
        attributes["num_layers"],
        direction="bidirect" if attributes["is_bidirec"] else "forward",
        time_major=True,
    )
    for parameter, array in zip(layer._all_weights, arrays, strict=True):  # in the operator's order
        parameter.set_value(array)
    name = _name(program, _parts(program, weights)[0])
    return None if out is None else Built(layer, name, x, out, is_first_of_several=True)


def _parts(program: Program, value: int | None) -> list[int | None]:
    """Return what a list of values is made of."""
    maker = program.makers.get(value) if value is not None else None
    return [] if maker is None else maker.inputs


def _is_zero(program: Program, value: int | None) -> bool:
    maker = program.makers.get(value) if value is not None else None
    while maker is not None and maker.name == "full_with_tensor":
        maker = program.makers.get(maker.inputs[0]) if maker.inputs[0] is not None else None
    return maker is not None and maker.attributes.get("value") == 0


def _embedding(program: Program, operation: Operation) -> Built | None:
    weight = program.parameter(operation.inputs[1])
    if weight is None:
        return None
    layer = nn.Embedding(*weight.shape)
    layer.weight.set_value(weight)
    return Built(layer, _name(program, operation.inputs[1]), _first(operation), _made(operation))


def _dropout(program: Program, operation: Operation) -> Built | None:
    rate = next(
        (
            program.makers[value].attributes["value"]
            for value in operation.inputs[1:]
            if value in program.makers and program.makers[value].name == "full"
        ),
        0.0,
    )
    mode = operation.attributes["mode"].replace("downgrade", "downscale")  # the operator's word, the layer's
    return Built(nn.Dropout(rate, mode=mode), "", _first(operation), _made(operation))


@dataclass(frozen=True)
class _Bias:
    """A parameter that the next operation adds to each channel of a layer's output."""

    values: np.ndarray
    sum: int
    absorbed: list[Operation]

    @classmethod
    def find(cls, program: Program, output: int | None, width: int, *, is_last: bool) -> _Bias | None:
        users = program.users.get(output, []) if output is not None else []
        if output is None or len(users) != 1 or output in program.fetched:
            return None
        adding = program.operations[users[0]]
        if adding.name != "add":
            return None
        other = adding.inputs[1] if adding.inputs[0] == output else adding.inputs[0]
        absorbed = [adding]
        if other is None:
            return None
        maker = program.makers.get(other)
        if maker is not None and maker.name == "reshape" and len(program.users[other]) == 1:
            other = maker.inputs[0]
            absorbed.append(maker)
        values = program.parameter(other)
        if values is None or values.shape != (width,) or not _is_along_channels(absorbed, width, is_last):
            return None
        return cls(values, _made(adding), absorbed)


def _is_along_channels(absorbed: list[Operation], width: int, is_last: bool) -> bool:
    """Whether each channel has a value: on the last axis, or on the second by a reshape to [1, C, 1, 1]."""
    if len(absorbed) == 1:
        return is_last
    shape = absorbed[1].shapes[0] or []
    return not is_last and shape == [1, width] + [1] * (len(shape) - 2)


def _filled(
    program: Program,
    operation: Operation,
    layer: paddle.nn.Layer,
    weight: np.ndarray,
    bias: _Bias | None,
) -> Built:
    layer.weight.set_value(weight)
    if bias is not None:
        layer.bias.set_value(bias.values)
    output, absorbed = (bias.sum, bias.absorbed) if bias is not None else (_made(operation), [])
    return Built(layer, _name(program, operation.inputs[1]), _first(operation), output, absorbed)


def padding_of(attributes: dict[str, object]) -> object:
    """Return a convolution's or a pooling's padding as Paddle's layers and functions take it."""
    kind = attributes["padding_algorithm"]
    return kind if kind in ("SAME", "VALID") else attributes["paddings"]


def _name(program: Program, value: int | None) -> str:
    return program.names[value] if value is not None else ""


def _first(operation: Operation) -> int:
    return next(_values(operation.inputs))


def _made(operation: Operation) -> int:
    return next(_values(operation.outputs))


def _values(values: list[int | None]) -> Iterator[int]:
    return (value for value in values if value is not None)


_CONVOLUTIONS = {
    (4, False): nn.Conv2D,
    (4, True): nn.Conv2DTranspose,
    (5, False): nn.Conv3D,
    (5, True): nn.Conv3DTranspose,
}
_BUILDERS: dict[str, Callable[[Program, Operation], Built | None]] = {
    "conv2d": _convolution,
    "conv3d": _convolution,
    "depthwise_conv2d": _convolution,
    "conv2d_transpose": _convolution,
    "conv3d_transpose": _convolution,
    "depthwise_conv2d_transpose": _convolution,
    "matmul": _linear,
    "batch_norm": _batch_norm,
    "batch_norm_": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "prelu": _prelu,
    "rnn": _recurrent,
    "embedding": _embedding,
    "dropout": _dropout,
}
