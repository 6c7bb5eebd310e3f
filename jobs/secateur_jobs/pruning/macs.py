"""Count multiply-accumulate operations by running the net once and watching it.

Counted are products with weights and of activations: convolutions (grouped, depthwise, transposed), linear
layers, matrix products (attention), LSTM, GRU and simple RNN. One multiply-add is one MAC. Additions of
biases, normalisations, activations and pooling are not counted, as in the literature (MobileNetV1 at
224x224: 569 M, Howard et al. 2017, table 8). Other sources print 2 x MACs as "FLOPs".

Parameters are counted as far as inference uses them: what it does not use is no size that a cut can save.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from secateur_api.spec import InputSpec
from secateur_jobs.explain import RAISED
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import CONVOLUTIONS, TRANSPOSED, named_layers
from secateur_jobs.training.forward import eval_mode, zeros

_RECURRENT = (paddle.nn.SimpleRNN, paddle.nn.LSTM, paddle.nn.GRU)
_COUNTED = (*CONVOLUTIONS, *TRANSPOSED, paddle.nn.Linear, *_RECURRENT)
F = paddle.nn.functional


@dataclass(frozen=True)
class Counts:
    """What one forward pass at the declared input shapes takes."""

    macs: int
    params: int
    """Trainable parameters that inference uses."""
    unused: frozenset[int]
    """Ids of the others."""
    layers: dict[str, int]
    """MACs of each convolution, linear and recurrent layer that ran, in the order of their first run."""
    products: tuple[int, ...]
    """MACs of each product outside such layers (matmul, einsum, functional convolution), as they were run."""


def count(net: paddle.nn.Layer, inputs: list[InputSpec]) -> Counts:
    """Run ``net`` in evaluation mode on zeros of the declared shapes and count; the net is left as it was.

    Raises whatever ``forward`` raises.
    """
    tally = _Tally()
    handles = []
    try:
        for name, layer in named_layers(net).items():
            if isinstance(layer, _COUNTED):
                handles.append(layer.register_forward_pre_hook(tally.enter))
                handles.append(layer.register_forward_post_hook(tally.leave(name)))
        with eval_mode(net), paddle.no_grad(), _watched_functions(tally):
            net(*zeros(inputs))
    finally:
        for handle in handles:
            handle.remove()
    unused = unused_parameters(net, inputs)
    return Counts(
        macs=sum(tally.layers.values()) + sum(tally.products),
        params=sum(
            math.prod(p.shape) for p in net.parameters() if not p.stop_gradient and id(p) not in unused
        ),
        unused=frozenset(unused),
        layers=tally.layers,
        products=tuple(tally.products),
    )


class _Tally:
    """Sums; products inside a counted layer are that layer's and are not counted again."""

    def __init__(self) -> None:
        self.layers: dict[str, int] = {}
        self.products: list[int] = []
        self.depth = 0

    def enter(self, layer: paddle.nn.Layer, inputs: Any) -> None:
        self.depth += 1

    def leave(self, name: str) -> Callable[[paddle.nn.Layer, Any, Any], None]:
        def hook(layer: paddle.nn.Layer, inputs: Any, result: Any) -> None:
            self.depth -= 1
            if self.depth == 0:
                self.layers[name] = self.layers.get(name, 0) + _of_layer(layer, inputs[0], result)

        return hook


def _of_layer(layer: paddle.nn.Layer, x: paddle.Tensor, result: Any) -> int:
    if isinstance(layer, _RECURRENT):
        # every weight matrix takes part once for each sample and time step
        steps = x.shape[0] * x.shape[1]
        return steps * sum(math.prod(p.shape) for p in layer.parameters() if p.ndim == 2)
    per_value = math.prod(layer.weight.shape[1:])
    if isinstance(layer, TRANSPOSED):
        return math.prod(x.shape) * per_value
    if isinstance(layer, paddle.nn.Linear):
        return math.prod(x.shape) * int(layer.weight.shape[1])
    return math.prod(result.shape) * per_value


@contextmanager
def _watched_functions(tally: _Tally) -> Iterator[None]:
    """While it lasts, products outside counted layers are counted where they are called."""
    originals: list[tuple[Any, str, Callable[..., Any]]] = []
    try:
        for owner, name, macs in _FUNCTIONS:
            original = getattr(owner, name)
            originals.append((owner, name, original))
            setattr(owner, name, _watched(original, macs, tally))
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _watched(original: Callable[..., Any], macs: Callable[..., int], tally: _Tally) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        tally.depth += 1
        try:
            result = original(*args, **kwargs)
        finally:
            tally.depth -= 1
        if tally.depth == 0:
            tally.products.append(macs(result, *args, **kwargs))
        return result

    return call


def _of_matmul(result: Any, x: Any, y: Any, transpose_x: bool = False, *_: Any, **__: Any) -> int:
    """Every value of the result is a sum over the inner axis (batches, broadcasts, vectors included)."""
    inner = x.shape[-2] if transpose_x and x.ndim > 1 else x.shape[-1]
    return math.prod(result.shape) * int(inner)


def _of_einsum(result: Any, equation: str, *operands: Any) -> int:
    """The product of the lengths of all indices; with three operands or more an upper bound."""
    lengths: dict[str, int] = {}
    for term, operand in zip(equation.replace(" ", "").split("->")[0].split(","), operands, strict=True):
        labels = term.replace("...", "")
        free = operand.ndim - len(labels)
        start = term.index("...") if "..." in term else len(labels)
        shape = [*operand.shape[:start], *operand.shape[start + free :]]
        lengths |= dict(zip(labels, shape, strict=True))
        for axis in range(free):
            lengths[f"...{axis - free}"] = max(
                lengths.get(f"...{axis - free}", 1), operand.shape[start + axis]
            )
    return math.prod(lengths.values()) if len(operands) > 1 else 0


def _of_linear(result: Any, x: Any, weight: Any, *_: Any, **__: Any) -> int:
    return math.prod(x.shape) * int(weight.shape[1])


def _of_convolution(result: Any, x: Any, weight: Any, *_: Any, **__: Any) -> int:
    return math.prod(result.shape) * math.prod(weight.shape[1:])


def _of_transposed(result: Any, x: Any, weight: Any, *_: Any, **__: Any) -> int:
    return math.prod(x.shape) * math.prod(weight.shape[1:])


_FUNCTIONS: tuple[tuple[Any, str, Callable[..., int]], ...] = (
    # Paddle's own layers call them by either name
    *((place, name, _of_matmul) for place in (paddle, paddle.tensor) for name in ("matmul", "bmm", "mm")),
    *((paddle.Tensor, name, _of_matmul) for name in ("matmul", "bmm", "mm", "__matmul__")),
    *((place, "einsum", _of_einsum) for place in (paddle, paddle.tensor)),
    (F, "linear", _of_linear),
    *((F, f"conv{n}d", _of_convolution) for n in (1, 2, 3)),
    *((F, f"conv{n}d_transpose", _of_transposed) for n in (1, 2, 3)),
)


def unused_parameters(net: paddle.nn.Layer, inputs: list[InputSpec]) -> set[int]:
    """Return the ids of trainable parameters that the outputs of one run in evaluation mode do not come from.

    A parameter is used if the layer that holds it is called, or if a gradient of the outputs reaches it (a
    weight that is read around its layer). Where no gradient can be taken, the call alone tells.
    """
    called: set[int] = set()

    def see(layer: Any, _: Any) -> None:
        called.update(id(p) for p in layer._parameters.values() if p is not None)

    layers = [net, *named_layers(net).values()]
    handles = [layer.register_forward_pre_hook(see) for layer in layers]
    try:
        with eval_mode(net):
            outputs = net(*zeros(inputs))
    finally:
        for handle in handles:
            handle.remove()
    doubtful = [p for p in net.parameters() if not p.stop_gradient and id(p) not in called]
    return {id(p) for p in doubtful} - _reached(outputs, doubtful)


def _reached(outputs: Any, parameters: list[paddle.Tensor]) -> set[int]:
    floats = [
        output
        for output in paddle.utils.flatten(outputs)
        if isinstance(output, paddle.Tensor) and output.is_floating_point() and not output.stop_gradient
    ]
    if not floats or not parameters:
        return set()
    try:
        gradients = paddle.grad(floats, parameters, allow_unused=True)
    except RAISED:  # an operator without a gradient in evaluation mode, such as Paddle's LSTM
        return set()
    return {id(p) for p, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
