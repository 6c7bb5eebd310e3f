"""Operators without layers: each as a function of its operation and of the values that flow in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from secateur_jobs.graph.elementary import ELEMENTARY
from secateur_jobs.graph.layers import padding_of
from secateur_jobs.graph.program import Operation
from secateur_jobs.graph.values import Value, alone, is_plain, numbers
from secateur_jobs.graph.widths import Reshape, share_of, slice_of
from secateur_jobs.paddle_env import paddle

F = paddle.nn.functional


class Step:
    """One operation; what it saw in its first run tells it how its constants follow other widths."""

    def __init__(self, operation: Operation, is_constant: Sequence[bool] = ()) -> None:
        """``is_constant``: of a reshape's target, which axes the program has as constants."""
        self.operation = operation
        self._function = _FUNCTIONS.get(operation.name) or _elementary(operation.name)
        self._is_constant = list(is_constant)
        self.reshape: Reshape | None = None
        """Of a reshape that ran once."""
        self._widths: dict[int, int] = {}

    @property
    def is_known(self) -> bool:
        """Whether there is a function for the operator."""
        return self._function is not None

    def __call__(self, values: list[Value]) -> Value:
        """Return the operation's result; a tuple where it has several."""
        if self._function is None:
            raise ValueError(f"operator {self.operation.name} is not known")
        return self._function(self, *values)

    def __getitem__(self, attribute: str) -> Any:
        return self.operation.attributes[attribute]

    def widths(self, x: paddle.Tensor, axis: int) -> tuple[int, int]:
        """Return the length of an axis in the first run, and now."""
        now = int(x.shape[axis])
        return self._widths.setdefault(axis % x.ndim, now), now

    def reshaped(self, x: paddle.Tensor, target: list[int]) -> paddle.Tensor:
        """Reshape as the program does, its constants following the widths of ``x``."""
        if self.reshape is None:
            result = x.reshape(target)
            constant = self._is_constant or [True] * result.ndim
            self.reshape = Reshape(x.shape, result.shape, _resolved(target, x.shape), constant)
            return result
        computed = [x.shape[axis] if length == 0 else length for axis, length in enumerate(target)]
        return x.reshape(self.reshape.target(x.shape, computed))


def _resolved(target: list[int], shape: Sequence[int]) -> list[int]:
    """A 0 in a target is the input's own length there."""
    return [shape[axis] if length == 0 else length for axis, length in enumerate(target)]


# ---- of shapes ----


def _shape(step: Step, x: paddle.Tensor) -> list[int]:
    return [int(length) for length in x.shape]


def _scale(step: Step, x: Value, factor: Value = 1.0) -> Value:
    factor, bias = alone(factor), step["bias"]
    if is_plain(x):
        x = alone(x)
        result = x * factor + bias if step["bias_after_scale"] else (x + bias) * factor
        return int(result) if isinstance(x, int) else result
    if not bias:
        return x * factor
    return x * factor + bias if step["bias_after_scale"] else (x + bias) * factor


def _slice(step: Step, x: Value, starts: Value, ends: Value) -> Value:
    starts, ends = numbers(starts), numbers(ends)
    if is_plain(x):
        part = x[starts[0] : min(ends[0], len(x))] if ends[0] >= 0 else x[starts[0] : ends[0]]
        return part[0] if step["decrease_axis"] else part
    for index, axis in enumerate(step["axes"]):
        starts[index], ends[index] = slice_of(starts[index], ends[index], *step.widths(x, axis))
    result = paddle.slice(x, step["axes"], starts, ends)
    return result.squeeze(step["decrease_axis"]) if step["decrease_axis"] else result


def _strided_slice(step: Step, x: paddle.Tensor, starts: Value, ends: Value, strides: Value) -> paddle.Tensor:
    return paddle.strided_slice(x, step["axes"], numbers(starts), numbers(ends), numbers(strides))


def _stack(step: Step, x: list[Value]) -> Value:
    return [alone(one) for one in x] if is_plain(x) else paddle.stack(x, step["axis"])


def _concat(step: Step, x: list[Value], axis: Value) -> Value:
    if is_plain(x):
        return [number for one in x for number in (one if isinstance(one, list) else [one])]
    return paddle.concat(x, numbers(axis)[0])


# ---- of tensors ----


def _reshape(step: Step, x: paddle.Tensor, target: Value) -> paddle.Tensor:
    return step.reshaped(x, numbers(target))


def _flatten(step: Step, x: paddle.Tensor) -> paddle.Tensor:
    return x.flatten(step["start_axis"], step["stop_axis"])


def _split(step: Step, x: paddle.Tensor, sections: Value, axis: Value) -> list[paddle.Tensor]:
    where = numbers(axis)[0]
    return paddle.split(x, share_of(numbers(sections), *step.widths(x, where)), where)


def _expand(step: Step, x: paddle.Tensor, shape: Value) -> paddle.Tensor:
    """A width that the program would copy is the input's, whatever it has become."""
    target = numbers(shape)
    added = len(target) - x.ndim
    for axis, length in enumerate(x.shape):
        if length != 1:
            target[added + axis] = length
    return x.expand(target)


def _reduced(function: Callable[..., paddle.Tensor]) -> Callable[..., paddle.Tensor]:
    def run(step: Step, x: paddle.Tensor, axes: Value = None) -> paddle.Tensor:
        over = numbers(axes) if axes is not None else step["axis"]
        return function(x, over or None, keepdim=step["keepdim"])

    return run


def _pool(step: Step, x: paddle.Tensor, size: Value = None) -> paddle.Tensor:
    window = numbers(size) if size is not None else step["ksize"]
    average = step["pooling_type"] == "avg"
    if step["data_format"] != "NCHW":
        raise ValueError(f"pooling of {step['data_format']} is not known")
    if step["global_pooling"] or step["adaptive"]:
        pool = F.adaptive_avg_pool2d if average else F.adaptive_max_pool2d
        return pool(x, 1 if step["global_pooling"] else window)
    settings = {"stride": step["strides"], "padding": padding_of(step.operation.attributes)}
    if average:
        return F.avg_pool2d(x, window, **settings, ceil_mode=step["ceil_mode"], exclusive=step["exclusive"])
    return F.max_pool2d(x, window, **settings, ceil_mode=step["ceil_mode"])


def _interpolated(
    step: Step, x: paddle.Tensor, size: Value = None, sizes: Value = None, scale: Value = None
) -> paddle.Tensor:
    mode = step["interp_method"]
    given = next((numbers(one) for one in (size, sizes) if one is not None), None)
    if given is None and scale is None and step["out_h"] > 0:
        given = [step["out_h"], step["out_w"]]
    settings: dict[str, Any] = {"mode": mode, "align_mode": step["align_mode"]}
    if mode != "nearest":
        settings["align_corners"] = step["align_corners"]
    if given is not None:
        return F.interpolate(x, size=given, **settings)
    factors = step["scale"] if scale is None else [float(one) for one in scale.numpy().reshape(-1)]
    return F.interpolate(x, scale_factor=factors, **settings)


def _cast(step: Step, x: Value) -> Value:
    return x if is_plain(x) else x.astype(step["dtype"].rsplit(".", 1)[-1])


def _filled(step: Step) -> Value:
    shape, value, dtype = step["shape"], step["value"], step["dtype"].rsplit(".", 1)[-1]
    if not shape or shape == [1]:  # an axis, a factor, a limit
        return int(value) if "int" in dtype else float(value)
    return paddle.full(shape, value, dtype)


def _set_value(step: Step, x: paddle.Tensor, starts: Value, ends: Value, steps: Value) -> paddle.Tensor:
    result, where = x.clone(), [slice(None)] * x.ndim
    for axis, *bounds in zip(step["axes"], numbers(starts), numbers(ends), numbers(steps), strict=True):
        where[axis] = slice(*bounds)
    result[tuple(where)] = step["values"][0]
    return result


def _set_part(
    step: Step, x: paddle.Tensor, part: paddle.Tensor, starts: Value, ends: Value, steps: Value
) -> paddle.Tensor:
    """Put ``part`` in the place of as many channels of ``x``, whatever the widths of both have become."""
    if len(step["axes"]) != 1 or numbers(steps) != [1] or step["decrease_axes"] or part.ndim != x.ndim:
        raise ValueError("only a part along one axis can be set")
    axis = step["axes"][0]
    start, _ = slice_of(numbers(starts)[0], numbers(ends)[0], *step.widths(x, axis))
    length, end = int(x.shape[axis]), start + int(part.shape[axis])
    before = [x.slice([axis], [0], [start])] if start else []
    after = [x.slice([axis], [end], [length])] if end < length else []
    return paddle.concat([*before, part, *after], axis)


def _elementary(name: str) -> Callable[..., Value] | None:
    function = ELEMENTARY.get(name)
    return None if function is None else lambda step, *values: function(step.operation.attributes, *values)


def _unary(function: Callable[..., paddle.Tensor]) -> Callable[..., Value]:
    return lambda step, x: function(x)


def _binary(function: Callable[[Any, Any], Any]) -> Callable[..., Value]:
    return lambda step, x, y: function(alone(x), alone(y))


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    name: _unary(function)
    for name, function in {
        "relu": F.relu,
        "relu6": F.relu6,
        "sigmoid": F.sigmoid,
        "swish": F.silu,
        "silu": F.silu,
        "mish": F.mish,
        "tanh": paddle.tanh,
        "hardswish": F.hardswish,
        "exp": paddle.exp,
        "log": paddle.log,
        "sqrt": paddle.sqrt,
        "rsqrt": paddle.rsqrt,
        "square": paddle.square,
        "abs": paddle.abs,
        "erf": paddle.erf,
        "softplus": F.softplus,
        "assign": lambda x: x,
        "builtin.split": tuple,
    }.items()
}
_FUNCTIONS |= {f"{name}_": function for name, function in _FUNCTIONS.items() if "." not in name}
_FUNCTIONS |= {
    name: _binary(function)
    for name, function in {
        "add": lambda x, y: x + y,
        "subtract": lambda x, y: x - y,
        "multiply": lambda x, y: x * y,
        "divide": lambda x, y: x / y,
        "floor_divide": lambda x, y: x // y,
        "remainder": lambda x, y: x % y,
        "elementwise_pow": lambda x, y: x**y,
        "maximum": lambda x, y: paddle.clip(x, min=y) if is_plain(y) else paddle.maximum(x, y),
        "minimum": lambda x, y: paddle.clip(x, max=y) if is_plain(y) else paddle.minimum(x, y),
        "equal": lambda x, y: x == y,
        "not_equal": lambda x, y: x != y,
        "less_than": lambda x, y: x < y,
        "greater_than": lambda x, y: x > y,
    }.items()
}
_FUNCTIONS |= {
    "full": _filled,
    "full_int_array": lambda step: list(step["value"]),
    "shape": _shape,
    "shape64": _shape,
    "scale": _scale,
    "slice": _slice,
    "stack": _stack,
    "concat": _concat,
    "builtin.combine": lambda step, *values: list(values),
    "builtin.slice": lambda step, x: x[step["index"]],
    "reshape": _reshape,
    "flatten": _flatten,
    "split": _split,
    "split_with_num": lambda step, x, axis: paddle.split(x, step["num"], numbers(axis)[0]),
    "expand": _expand,
    "transpose": lambda step, x: x.transpose(step["perm"]),
    "squeeze": lambda step, x, axes: x.squeeze(numbers(axes)),
    "unsqueeze": lambda step, x, axes: x.unsqueeze(numbers(axes)),
    "matmul": lambda step, x, y: paddle.matmul(x, y, step["transpose_x"], step["transpose_y"]),
    "softmax": lambda step, x: F.softmax(x, step["axis"]),
    "gelu": lambda step, x: F.gelu(x, step["approximate"]),
    "leaky_relu": lambda step, x: F.leaky_relu(x, step["negative_slope"]),
    "hardsigmoid": lambda step, x: F.hardsigmoid(x, step["slope"], step["offset"]),
    "pow": lambda step, x: x ** step["y"],
    "clip": lambda step, x, low, high: paddle.clip(x, alone(low), alone(high)),
    "mean": _reduced(paddle.mean),
    "sum": _reduced(paddle.sum),
    "max": _reduced(paddle.max),
    "min": _reduced(paddle.min),
    "pool2d": _pool,
    "nearest_interp": _interpolated,
    "bilinear_interp": _interpolated,
    "bicubic_interp": _interpolated,
    "cast": _cast,
    "gather": lambda step, x, index, axis: paddle.gather(x, index, numbers(axis)[0]),
    "index_select": lambda step, x, index: paddle.index_select(x, index, step["axis"]),
    "roll": lambda step, x, shifts: paddle.roll(x, numbers(shifts), step["axis"]),
    "where": lambda step, condition, x, y: paddle.where(condition, x, y),
    "full_like": lambda step, x, value, *_: paddle.full_like(x, alone(value)),
    "set_value": _set_value,
    "set_value_": _set_value,
    "strided_slice": _strided_slice,
    "set_value_with_tensor": _set_part,
    "set_value_with_tensor_": _set_part,
}
