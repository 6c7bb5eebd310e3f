"""What each ONNX operator is in the operators of Paddle: those with weights, and those with windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from secateur_jobs.graph.onnx_graph import Graph
from secateur_jobs.graph.onnx_model import Node
from secateur_jobs.graph.onnx_recurrent import recurrent

# ---- with weights ----


def _convolution(graph: Graph, node: Node) -> list[int]:
    weight = graph.array(node.taken(1))
    if weight is None:
        raise node.refusal("cannot be rebuilt: its weights depend on the data")
    transposed, rank = node.operator == "ConvTranspose", weight.ndim - 2
    x, shape = graph.tensor(node.taken(0)), graph.shape(node.outputs[0])
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    paddings = _paddings(graph, node, weight.shape[2:], strides, dilations)
    given = {"strides": strides, "dilations": dilations, "groups": node.get("group", 1)}
    given |= {"paddings": paddings, "padding_algorithm": "EXPLICIT"}
    given["data_format"] = "NCDHW" if rank == 3 else "NCHW"
    if transposed:
        given["output_padding"] = node.get("output_padding", [0] * rank)
        if node.get("output_shape", None):
            raise node.refusal("with output_shape cannot be rebuilt; give it paddings")
    if rank == 1:
        x = graph.make("unsqueeze", [x, graph.whole([2])])
        weight, given = np.expand_dims(weight, 2), _of_one_axis(given)
    kernel = graph.parameter(weight, node.taken(1))
    kind = f"conv{max(rank, 2)}d" + "_transpose" * transposed
    inside = shape[:2] + [1] * (rank == 1) + shape[2:]
    result = graph.make(kind, [x, kernel], inside, **given)
    if node.taken(2):
        result = _with_bias(graph, result, node.taken(2), inside)
    return [graph.make("squeeze", [result, graph.whole([2])]) if rank == 1 else result]


def _of_one_axis(given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a convolution along one axis for one along the second of two."""
    neutral = {"strides": [1], "dilations": [1], "paddings": [0], "output_padding": [0]}
    found = {name: [*neutral[name], *value] if name in neutral else value for name, value in given.items()}
    if len(found["paddings"]) == 3:
        found["paddings"] = [0, *found["paddings"]]
    return found


def _with_bias(graph: Graph, x: int, name: str, shape: list[int]) -> int:
    bias = graph.array(name)
    if bias is None:
        raise graph.refusal("cannot be rebuilt: its bias depends on the data")
    over = [1, bias.size] + [1] * (len(shape) - 2)
    along = graph.make("reshape", [graph.parameter(bias, name), graph.whole(over)], over)
    return graph.make("add", [x, along], shape)


def _paddings(
    graph: Graph, node: Node, window: tuple[int, ...], strides: list[int], dilations: list[int]
) -> list[int]:
    """Return paddings as Paddle has them: one per axis, or two where they differ."""
    rank, kind = len(window), node.get("auto_pad", "NOTSET")
    pads = node.get("pads", [0] * 2 * rank) if kind == "NOTSET" else [0] * 2 * rank
    if kind.startswith("SAME"):
        if node.operator == "ConvTranspose":
            raise node.refusal(f"with auto_pad {kind} cannot be rebuilt; give it paddings")
        for axis in range(rank):
            length = graph.length(node.taken(0), axis + 2)
            needed = (math.ceil(length / strides[axis]) - 1) * strides[axis]
            total = max(0, needed + (window[axis] - 1) * dilations[axis] + 1 - length)
            less, more = total // 2, total - total // 2
            pads[axis], pads[axis + rank] = (less, more) if kind == "SAME_UPPER" else (more, less)
    if pads[:rank] == pads[rank:]:
        return list(pads[:rank])
    return [pad for axis in range(rank) for pad in (pads[axis], pads[axis + rank])]


def _batch_norm(graph: Graph, node: Node) -> list[int]:
    names = [node.taken(index) for index in (3, 4, 1, 2)]
    arrays = [graph.array(name) for name in names]
    if any(array is None for array in arrays) or node.get("training_mode", 0):
        raise node.refusal("cannot be rebuilt: its statistics depend on the data")
    given = {"momentum": node.get("momentum", 0.9), "epsilon": node.get("epsilon", 1e-5)}
    parameters = [graph.parameter(a, n) for a, n in zip(arrays, names, strict=True) if a is not None]
    x = [graph.tensor(node.taken(0)), *parameters]
    return [graph.make("batch_norm", x, graph.shape(node.taken(0)), **given, data_format="NCHW")]


def _layer_norm(graph: Graph, node: Node) -> list[int]:
    shape = graph.shape(node.taken(0))
    weights = [graph.vector(name) if name else None for name in (*node.inputs[1:], "")[:2]]
    taken = [graph.tensor(node.taken(0)), *weights]
    given = {"epsilon": node.get("epsilon", 1e-5), "begin_norm_axis": node.get("axis", -1) % len(shape)}
    return [graph.make("layer_norm", taken, shape, **given)]


def _instance_norm(graph: Graph, node: Node) -> list[int]:
    taken = [graph.tensor(node.taken(0)), graph.vector(node.taken(1)), graph.vector(node.taken(2))]
    return [graph.make("instance_norm", taken, graph.shape(node.taken(0)), epsilon=node.get("epsilon", 1e-5))]


def _prelu(graph: Graph, node: Node) -> list[int]:
    shape, slope = graph.shape(node.taken(0)), graph.array(node.taken(1))
    if slope is None or (slope.size > 1 and slope.shape[-len(shape) + 1 :][:1] != (slope.size,)):
        raise node.refusal("cannot be rebuilt: it has no one slope per channel")
    given = {"mode": "channel" if slope.size > 1 else "all", "data_format": "NCHW"}
    return [graph.make("prelu", [graph.tensor(node.taken(0)), graph.vector(node.taken(1))], shape, **given)]


def _matmul(graph: Graph, node: Node) -> list[int]:
    shape = graph.shape(node.outputs[0])
    sides = [graph.tensor(name) for name in node.inputs]
    return [graph.make("matmul", sides, shape, transpose_x=False, transpose_y=False)]


def _gemm(graph: Graph, node: Node) -> list[int]:
    shape = graph.shape(node.outputs[0])
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    weight, bias = graph.array(node.taken(1)), graph.array(node.taken(2)) if node.taken(2) else None
    turned = {"transpose_x": bool(node.get("transA", 0)), "transpose_y": bool(node.get("transB", 0))}
    if weight is not None and alpha != 1:
        right = graph.parameter(weight * np.float32(alpha), node.taken(1))
    else:
        right = graph.tensor(node.taken(1))
    result = graph.make("matmul", [graph.tensor(node.taken(0)), right], shape, **turned)
    if weight is None and alpha != 1:
        result = graph.make("multiply", [result, graph.number(float(alpha))], shape)
    if not node.taken(2):
        return [result]
    if bias is None:
        added = graph.make("multiply", [graph.tensor(node.taken(2)), graph.number(float(beta))])
    else:
        bias = bias.reshape(-1) if bias.size == shape[-1] and bias.shape[-1:] == (bias.size,) else bias
        added = graph.parameter(bias if beta == 1 else bias * np.float32(beta), node.taken(2))
    return [graph.make("add", [result, added], shape)]


# ---- windows ----


def _pool(graph: Graph, node: Node) -> list[int]:
    window = node.get("kernel_shape", [])
    rank = len(window)
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    if rank > 2 or set(dilations) != {1} or any(name and graph.flows(name) for name in node.outputs[1:]):
        raise node.refusal("of this kind cannot be rebuilt")
    average = node.operator == "AveragePool"
    paddings = _paddings(graph, node, tuple(window), strides, dilations)
    given = {"ksize": window, "strides": strides, "paddings": paddings, "dilations": dilations}
    x = graph.tensor(node.taken(0))
    if rank == 1:
        x, given = graph.make("unsqueeze", [x, graph.whole([2])]), _of_one_axis(given)
        given["ksize"] = [1, *window]
    del given["dilations"]
    given |= {"pooling_type": "avg" if average else "max", "ceil_mode": bool(node.get("ceil_mode", 0))}
    given |= {"exclusive": not node.get("count_include_pad", 0), "padding_algorithm": "EXPLICIT"}
    result = graph.make("pool2d", [x], **given, **_EVERY_POOL)
    return [graph.make("squeeze", [result, graph.whole([2])]) if rank == 1 else result]


_EVERY_POOL = {"global_pooling": False, "adaptive": False, "data_format": "NCHW"}


def _global_pool(graph: Graph, node: Node) -> list[int]:
    shape, x = graph.shape(node.taken(0)), graph.tensor(node.taken(0))
    average = node.operator == "GlobalAveragePool"
    if len(shape) != 4:
        axes = list(range(2, len(shape)))
        return [graph.make("mean" if average else "max", [x], axis=axes, keepdim=True)]
    given = _EVERY_POOL | {
        "global_pooling": True,
        "pooling_type": "avg" if average else "max",
        "ksize": [1, 1],
    }
    return [graph.make("pool2d", [x], **given)]


def _resize(graph: Graph, node: Node) -> list[int]:
    shape, after = graph.shape(node.taken(0)), graph.shape(node.outputs[0])
    mode, where = node.get("mode", "nearest"), node.get("coordinate_transformation_mode", "half_pixel")
    if node.operator == "Upsample":
        where = "asymmetric"
    kind = {"nearest": "nearest", "linear": "bilinear", "cubic": "bicubic"}.get(mode)
    known = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
    if kind is None or len(shape) != 4 or shape[:2] != after[:2] or where not in known:
        raise node.refusal(f"in mode {mode}, {where}, of {len(shape)} axes cannot be rebuilt")
    given: dict[str, Any] = {
        "interp_method": kind,
        "align_corners": where == "align_corners",
        "align_mode": int(where == "asymmetric"),
        "out_h": -1,
        "out_w": -1,
        "scale": [one / own for one, own in zip(after[2:], shape[2:], strict=True)],
    }
    x = graph.tensor(node.taken(0))
    if all(float(factor).is_integer() for factor in given["scale"]):
        return [graph.make(f"{kind}_interp", [x, None, None, None], **given)]
    return [graph.make(f"{kind}_interp", [x, graph.whole(after[2:]), None, None], **given)]


LAYERS: dict[str, Callable[[Graph, Node], list[int]]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "PRelu": _prelu,
    "LSTM": recurrent,
    "GRU": recurrent,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "Resize": _resize,
    "Upsample": _resize,
}
