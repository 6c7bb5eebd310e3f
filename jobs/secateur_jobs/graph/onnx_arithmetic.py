"""What each ONNX operator is in the operators of Paddle: those that work on each number by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import onnx

from secateur_jobs.graph.onnx_graph import Graph
from secateur_jobs.graph.onnx_model import Node

Function = Callable[[Graph, Node], list[int]]


def _unary(operator: str, **given: object) -> Function:
    return lambda graph, node: [graph.make(operator, [graph.tensor(node.taken(0))], **given)]


def _with(operator: str, **attributes: tuple[str, float]) -> Function:
    """An operator whose attributes have other names; beside each its default."""

    def run(graph: Graph, node: Node) -> list[int]:
        given = {name: node.get(theirs, default) for name, (theirs, default) in attributes.items()}
        return [graph.make(operator, [graph.tensor(node.taken(0))], **given)]

    return run


def _binary(operator: str) -> Function:
    """Both sides; more of them where the operator takes any number."""

    def run(graph: Graph, node: Node) -> list[int]:
        shape = graph.shape(node.outputs[0])
        sides = [_side(graph, name, len(shape)) for name in node.inputs]
        return [reduce(lambda x, y: graph.make(operator, [x, y], shape), sides)]

    return run


def _side(graph: Graph, name: str, rank: int) -> int:
    """Return an operand; one per channel as the parameter of so many numbers that it is, put on its axis."""
    array = None if graph.flows(name) else graph.array(name)
    if array is None or array.dtype.kind != "f" or array.size < 2 or array.ndim > rank:
        return graph.operand(name, rank)
    wide = [axis - array.ndim for axis, length in enumerate(array.shape) if length > 1]
    if len(wide) > 1 or (wide[0] != -1 and wide[0] + rank != 1):
        return graph.tensor(name)
    values = graph.vector(name)
    if wide[0] == -1:
        return values
    along = [1, array.size] + [1] * (rank - 2)
    return graph.make("reshape", [values, graph.whole(along)], along)


def _extreme(operator: str) -> Function:
    """The larger or smaller of any number of sides; a number is never the first."""

    def run(graph: Graph, node: Node) -> list[int]:
        rank = len(graph.shape(node.outputs[0]))
        names = sorted(node.inputs, key=lambda name: not graph.flows(name))
        return [reduce(lambda x, y: graph.make(operator, [x, y]), [graph.operand(n, rank) for n in names])]

    return run


def _scaled(factor: float) -> Function:
    given = {"bias": 0.0, "bias_after_scale": True}
    return lambda graph, node: [
        graph.make("scale", [graph.tensor(node.taken(0)), graph.number(factor)], **given)
    ]


def _clip(graph: Graph, node: Node) -> list[int]:
    bounds = [_bound(graph, node, index, name) for index, name in ((1, "min"), (2, "max"))]
    x = graph.tensor(node.taken(0))
    if bounds[0] == 0 and bounds[1] in (None, 6):
        return [graph.make("relu" if bounds[1] is None else "relu6", [x])]
    largest = float(np.finfo(np.float32).max)
    low, high = (
        graph.number(d if b is None else b) for b, d in zip(bounds, (-largest, largest), strict=True)
    )
    return [graph.make("clip", [x, low, high])]


def _bound(graph: Graph, node: Node, index: int, name: str) -> float | None:
    if not node.taken(index):
        found = node.get(name, None)
        return None if found is None else float(found)
    array = graph.array(node.taken(index))
    if array is None:
        raise node.refusal("by a bound that flows cannot be rebuilt")
    return float(array.reshape(-1)[0])


def _softmax(graph: Graph, node: Node) -> list[int]:
    shape = graph.shape(node.taken(0))
    axis = node.get("axis", 1 if graph.opset < 13 else -1) % len(shape)
    if graph.opset < 13 and any(length != 1 for length in shape[axis + 1 :]):
        raise node.refusal(
            f"over several axes cannot be rebuilt (opset {graph.opset}); export at 13 or later"
        )
    kind = "log_softmax" if node.operator == "LogSoftmax" else "softmax"
    return [graph.make(kind, [graph.tensor(node.taken(0))], axis=axis)]


def _cast(graph: Graph, node: Node) -> list[int]:
    dtype = str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(node.get("to", 1))))
    return [graph.make("cast", [graph.tensor(node.taken(0))], dtype=dtype)]


def _where(graph: Graph, node: Node) -> list[int]:
    return [graph.make("where", [graph.tensor(name) for name in node.inputs])]


def _same(graph: Graph, node: Node) -> list[int]:
    return [graph.tensor(node.taken(0))]


def _gelu(graph: Graph, node: Node) -> list[int]:
    approximate = node.get("approximate", "none") == "tanh"
    return [graph.make("gelu", [graph.tensor(node.taken(0))], approximate=approximate)]


ARITHMETIC: dict[str, Function] = {
    **{
        theirs: _unary(ours)
        for theirs, ours in {
            "Relu": "relu",
            "Sigmoid": "sigmoid",
            "Tanh": "tanh",
            "Exp": "exp",
            "Log": "log",
            "Sqrt": "sqrt",
            "Abs": "abs",
            "Erf": "erf",
            "Sin": "sin",
            "Cos": "cos",
            "Floor": "floor",
            "Ceil": "ceil",
            "Round": "round",
            "Sign": "sign",
            "Reciprocal": "reciprocal",
            "Softplus": "softplus",
            "Softsign": "softsign",
            "HardSwish": "hardswish",
            "Mish": "mish",
            "Swish": "swish",
            "Not": "logical_not",
        }.items()
    },
    **{
        theirs: _binary(ours)
        for theirs, ours in {
            "Add": "add",
            "Sum": "add",
            "Sub": "subtract",
            "Mul": "multiply",
            "Div": "divide",
            "Pow": "elementwise_pow",
            "Equal": "equal",
            "Less": "less_than",
            "Greater": "greater_than",
            "LessOrEqual": "less_equal",
            "GreaterOrEqual": "greater_equal",
            "And": "logical_and",
            "Or": "logical_or",
        }.items()
    },
    "Max": _extreme("maximum"),
    "Min": _extreme("minimum"),
    "Neg": _scaled(-1.0),
    "Identity": _same,
    "Dropout": _same,
    "LeakyRelu": _with("leaky_relu", negative_slope=("alpha", 0.01)),
    "Celu": _with("celu", alpha=("alpha", 1.0)),
    "Elu": _with("elu", alpha=("alpha", 1.0)),
    "HardSigmoid": _with("hardsigmoid", slope=("alpha", 0.2), offset=("beta", 0.5)),
    "Clip": _clip,
    "Gelu": _gelu,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Cast": _cast,
    "Where": _where,
}
