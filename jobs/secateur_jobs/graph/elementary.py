"""Operators that no width enters: each as a function of its attributes and of the values that flow in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from secateur_jobs.graph.values import Value, alone, numbers
from secateur_jobs.paddle_env import paddle

F = paddle.nn.functional
Attributes = Mapping[str, Any]


def _dtype(attributes: Attributes) -> str:
    return str(attributes["dtype"]).rsplit(".", 1)[-1]


def _norm(a: Attributes, x: paddle.Tensor) -> paddle.Tensor:
    axis = None if a["asvector"] else a["axis"]
    return paddle.linalg.vector_norm(x, a["porder"], axis, keepdim=a["keepdim"])


def _padded(a: Attributes, x: paddle.Tensor, value: Value) -> paddle.Tensor:
    return F.pad(x, a["paddings"], value=float(alone(value)), pad_from_left_axis=True)


def _padded_picture(a: Attributes, x: paddle.Tensor, pads: Value) -> paddle.Tensor:
    return F.pad(x, numbers(pads), a["mode"], a["pad_value"], a["data_format"])


def _filled_like_batch(a: Attributes, x: paddle.Tensor) -> paddle.Tensor:
    shape = list(a["shape"])
    shape[a["output_dim_idx"]] = x.shape[a["input_dim_idx"]]
    return paddle.full(shape, a["value"], _dtype(a))


def _einsum(a: Attributes, x: list[paddle.Tensor]) -> tuple[paddle.Tensor]:
    return (paddle.einsum(a["equation"], *x),)  # what comes after the result is for the gradient


def _prod(a: Attributes, x: paddle.Tensor, axes: Value) -> paddle.Tensor:
    return paddle.prod(x, None if a["reduce_all"] else numbers(axes), keepdim=a["keepdim"])


def _cumulated(a: Attributes, x: paddle.Tensor, axis: Value) -> paddle.Tensor:
    if a["reverse"] or a["exclusive"]:
        raise ValueError("a sum from the end, or without the element itself, is not known")
    return paddle.cumsum(x, None if a["flatten"] else numbers(axis)[0])


def _range(a: Attributes, start: Value, end: Value, step: Value) -> paddle.Tensor:
    return paddle.arange(alone(start), alone(end), alone(step), _dtype(a))


def _argmax(a: Attributes, x: paddle.Tensor, axis: Value) -> paddle.Tensor:
    return paddle.argmax(x, None if a["flatten"] else numbers(axis)[0], a["keepdims"], _dtype(a))


ELEMENTARY: dict[str, Callable[..., Value]] = {
    name: lambda a, *values, function=function: function(*values)
    for name, function in {
        "floor": paddle.floor,
        "ceil": paddle.ceil,
        "round": paddle.round,
        "sign": paddle.sign,
        "sin": paddle.sin,
        "cos": paddle.cos,
        "reciprocal": paddle.reciprocal,
        "selu": F.selu,
        "softsign": F.softsign,
        "tanh_shrink": F.tanhshrink,
        "logsigmoid": F.log_sigmoid,
        "bmm": paddle.bmm,
        "bitwise_and": paddle.bitwise_and,
        "bitwise_or": paddle.bitwise_or,
        "bitwise_not": paddle.bitwise_not,
        "logical_and": paddle.logical_and,
        "logical_or": paddle.logical_or,
        "logical_not": paddle.logical_not,
        "greater_equal": lambda x, y: x >= alone(y),
        "less_equal": lambda x, y: x <= alone(y),
        "gather_nd": paddle.gather_nd,
        "numel": paddle.numel,
        "meshgrid": paddle.meshgrid,
        "expand_as": lambda x, other: x.expand_as(other),
        "tile": lambda x, times: x.tile(numbers(times)),
        "one_hot": lambda x, count: F.one_hot(x, numbers(count)[0]),
        "full_with_tensor": lambda value, shape: paddle.full(numbers(shape), alone(value)),
    }.items()
}
ELEMENTARY |= {
    "log_softmax": lambda a, x: F.log_softmax(x, a["axis"]),
    "elu": lambda a, x: F.elu(x, a["alpha"]),
    "celu": lambda a, x: F.celu(x, a["alpha"]),
    "hardtanh": lambda a, x: F.hardtanh(x, a["t_min"], a["t_max"]),
    "p_norm": _norm,
    "logsumexp": lambda a, x: paddle.logsumexp(x, None if a["reduce_all"] else a["axis"], a["keepdim"]),
    "any": lambda a, x: paddle.any(x, a["axis"] or None, a["keepdim"]),
    "prod": _prod,
    "cumsum": _cumulated,
    "argmax": _argmax,
    "topk": lambda a, x, k: paddle.topk(x, numbers(k)[0], a["axis"], a["largest"], a["sorted"]),
    "einsum": _einsum,
    "flip": lambda a, x: paddle.flip(x, a["axis"]),
    "tril": lambda a, x: paddle.tril(x, a["diagonal"]),
    "unbind": lambda a, x: paddle.unbind(x, a["axis"]),
    "pixel_shuffle": lambda a, x: F.pixel_shuffle(x, a["upscale_factor"], a["data_format"]),
    "pixel_unshuffle": lambda a, x: F.pixel_unshuffle(x, a["downscale_factor"], a["data_format"]),
    "unfold": lambda a, x: F.unfold(x, a["kernel_sizes"], a["strides"], a["paddings"], a["dilations"]),
    "pad": _padded,
    "pad3d": _padded_picture,
    "arange": _range,
    "assign_value": lambda a: paddle.to_tensor(a["values"], _dtype(a)).reshape(a["shape"]),
    "full_batch_size_like": _filled_like_batch,
}
"""Operator to its function."""
