"""What each ONNX operator is in the operators of Paddle: those with weights, windows and axes.

A function takes the program at work and the node, and returns the node's results.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from secateur_jobs.graph.onnx_arithmetic import ARITHMETIC
from secateur_jobs.graph.onnx_graph import LARGEST, Graph
from secateur_jobs.graph.onnx_model import Node
from secateur_jobs.graph.onnx_recurrent import recurrent

Function = Callable[[Graph, Node], list[int]]


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


def _of_one_axis(given: dict[str, object]) -> dict[str, object]:
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
    given = {"interp_method": kind, "align_mode": int(where == "asymmetric"), "out_h": -1, "out_w": -1}
    given["align_corners"] = where == "align_corners"
    given["scale"] = [one / own for one, own in zip(after[2:], shape[2:], strict=True)]
    x = graph.tensor(node.taken(0))
    if all(float(factor).is_integer() for factor in given["scale"]):
        return [graph.make(f"{kind}_interp", [x, None, None, None], **given)]
    return [graph.make(f"{kind}_interp", [x, graph.whole(after[2:]), None, None], **given)]


# ---- axes ----


def _reshape(graph: Graph, node: Node) -> list[int]:
    target = graph.lengths(node.taken(1), "target")
    if node.get("allowzero", 0) and 0 in target:
        raise node.refusal("with allowzero cannot be rebuilt")
    x = graph.tensor(node.taken(0))
    return [graph.make("reshape", [x, graph.whole(target)], graph.shape(node.outputs[0]))]


def _flatten(graph: Graph, node: Node) -> list[int]:
    rank, x = len(graph.shape(node.taken(0))), graph.tensor(node.taken(0))
    axis = node.get("axis", 1) % max(rank, 1)
    if axis == 0:
        return [graph.make("reshape", [x, graph.whole([1, -1])], graph.shape(node.outputs[0]))]
    if axis > 1:
        x = graph.make("flatten", [x], start_axis=0, stop_axis=axis - 1)
    return [graph.make("flatten", [x], start_axis=1, stop_axis=-1)]


def _axes(graph: Graph, node: Node) -> list[int] | None:
    """Return axes as an attribute, or as an input since opset 13 (18); None where they are not given."""
    if node.taken(1):
        return graph.numbers(node.taken(1), "axes")
    return list(node.get("axes", None) or []) or None


def _squeeze(graph: Graph, node: Node) -> list[int]:
    axes, shape = _axes(graph, node), graph.shape(node.taken(0))
    axes = [axis for axis, length in enumerate(shape) if length == 1] if axes is None else axes
    return [graph.make("squeeze", [graph.tensor(node.taken(0)), graph.whole(axes)])]


def _unsqueeze(graph: Graph, node: Node) -> list[int]:
    rank = len(graph.shape(node.outputs[0]))
    axes = sorted(axis % rank for axis in _axes(graph, node) or [])
    return [graph.make("unsqueeze", [graph.tensor(node.taken(0)), graph.whole(axes)])]


def _reduce(graph: Graph, node: Node) -> list[int]:
    axes, x = _axes(graph, node) or [], graph.tensor(node.taken(0))
    if not axes and node.get("noop_with_empty_axes", 0):
        return [x]
    over = {"axis": axes, "keepdim": bool(node.get("keepdims", 1))}
    if node.operator == "ReduceL2":
        return [graph.make("sqrt", [graph.make("sum", [graph.make("square", [x])], **over)])]
    kind = {"Mean": "mean", "Sum": "sum", "Max": "max", "Min": "min"}[node.operator.removeprefix("Reduce")]
    return [graph.make(kind, [x], **over)]


def _transpose(graph: Graph, node: Node) -> list[int]:
    shape = graph.shape(node.taken(0))
    order = node.get("perm", list(range(len(shape)))[::-1])
    return [graph.make("transpose", [graph.tensor(node.taken(0))], perm=order)]


def _concat(graph: Graph, node: Node) -> list[int]:
    parts = graph.make("builtin.combine", [graph.tensor(name) for name in node.inputs])
    return [graph.make("concat", [parts, graph.number(node.get("axis", 0))])]


def _split(graph: Graph, node: Node) -> list[int]:
    axis, x = node.get("axis", 0), graph.tensor(node.taken(0))
    sections = graph.numbers(node.taken(1), "sections") if node.taken(1) else node.get("split", None)
    if sections is None:
        length = graph.length(node.taken(0), axis)
        if length % len(node.outputs):
            raise node.refusal("into parts that differ cannot be rebuilt")
        parts = graph.make("split_with_num", [x, graph.number(axis)], num=len(node.outputs))
    else:
        parts = graph.make("split", [x, graph.whole(sections), graph.number(axis)])
    return graph.make_all("builtin.split", [parts], [None] * len(node.outputs), {})


def _slice(graph: Graph, node: Node) -> list[int]:
    x, shape = graph.tensor(node.taken(0)), graph.shape(node.taken(0))
    if node.taken(1):
        starts, ends = (graph.numbers(node.taken(i), what) for i, what in ((1, "starts"), (2, "ends")))
        axes = graph.numbers(node.taken(3), "axes") if node.taken(3) else list(range(len(starts)))
        steps = graph.numbers(node.taken(4), "steps") if node.taken(4) else [1] * len(starts)
    else:  # before opset 10
        starts, ends = node.get("starts", []), node.get("ends", [])
        axes, steps = node.get("axes", list(range(len(starts)))), [1] * len(starts)
    axes = [axis % len(shape) for axis in axes]
    bounds = [graph.whole([max(-LARGEST, min(LARGEST, one)) for one in side]) for side in (starts, ends)]
    if set(steps) <= {1}:
        return [graph.make("slice", [x, *bounds], axes=axes, decrease_axis=[])]
    return [graph.make("strided_slice", [x, *bounds, graph.whole(steps)], axes=axes)]


def _gather(graph: Graph, node: Node) -> list[int]:
    shape = graph.shape(node.taken(0))
    axis = node.get("axis", 0) % len(shape)
    index = graph.array(node.taken(1))
    if index is None:
        if axis or graph.flows(node.taken(0)):
            raise node.refusal("by an index that flows cannot be rebuilt: only the rows of a table can")
        return [graph.make("embedding", [graph.tensor(node.taken(1)), graph.tensor(node.taken(0))])]
    x = graph.tensor(node.taken(0))
    if index.ndim == 0:
        start = int(index)
        end = LARGEST if start == -1 else start + 1
        given = {"axes": [axis], "decrease_axis": [axis]}
        return [graph.make("slice", [x, graph.whole([start]), graph.whole([end])], **given)]
    if index.ndim > 1:
        raise node.refusal(f"by an index of {index.ndim} axes cannot be rebuilt")
    return [graph.make("index_select", [x, graph.parameter(index % shape[axis], node.taken(1))], axis=axis)]


def _expand(graph: Graph, node: Node) -> list[int]:
    target = graph.lengths(node.taken(1), "shape")
    missing = len(graph.shape(node.taken(0))) - len(target)
    return [graph.make("expand", [graph.tensor(node.taken(0)), graph.whole([*[1] * missing, *target])])]


def _tile(graph: Graph, node: Node) -> list[int]:
    times = graph.whole(graph.lengths(node.taken(1), "repeats"))
    return [graph.make("tile", [graph.tensor(node.taken(0)), times])]


def _pad(graph: Graph, node: Node) -> list[int]:
    pads = graph.numbers(node.taken(1), "pads") if node.taken(1) else node.get("pads", [])
    value = graph.array(node.taken(2)) if node.taken(2) else np.float32(node.get("value", 0.0))
    rank = len(graph.shape(node.taken(0)))
    if node.taken(3):
        axes, given = [axis % rank for axis in graph.numbers(node.taken(3), "axes")], pads
        pads = [0] * 2 * rank
        for place, axis in enumerate(axes):
            pads[axis], pads[axis + rank] = given[place], given[place + len(axes)]
    if value is None or min(pads) < 0:
        raise node.refusal("by a value that flows, or by less than nothing, cannot be rebuilt")
    x, pairs, mode = (
        graph.tensor(node.taken(0)),
        list(zip(pads[:rank], pads[rank:], strict=True)),
        node.get("mode", ""),
    )
    if mode in ("", "constant"):
        value = graph.number(float(np.ravel(value)[0]))
        return [graph.make("pad", [x, value], paddings=[pad for pair in pairs for pad in pair])]
    form = {3: "NCL", 4: "NCHW", 5: "NCDHW"}.get(rank)
    if form is None or any(pads[axis] or pads[axis + rank] for axis in (0, 1)):
        raise node.refusal(f"of {rank} axes in mode {mode} cannot be rebuilt")
    given = {"mode": {"edge": "replicate"}.get(mode, mode), "pad_value": 0.0, "data_format": form}
    last_first = graph.whole([pad for pair in pairs[:1:-1] for pad in pair])
    return [graph.make("pad3d", [x, last_first], **given)]


def _depth_to_space(graph: Graph, node: Node) -> list[int]:
    r = node.get("blocksize", 1)
    _, channels, height, width = graph.shape(node.taken(0))
    if node.operator == "SpaceToDepth":
        apart, order = [0, channels, height // r, r, width // r, r], [0, 3, 5, 1, 2, 4]
    elif node.get("mode", "DCR") == "DCR":
        apart, order = [0, r, r, channels // r**2, height, width], [0, 3, 4, 1, 5, 2]
    else:
        apart, order = [0, channels // r**2, r, r, height, width], [0, 1, 4, 2, 5, 3]
    x = graph.make("reshape", [graph.tensor(node.taken(0)), graph.whole(apart)], apart)
    x, together = graph.make("transpose", [x], perm=order), [0, *graph.shape(node.outputs[0])[1:]]
    return [graph.make("reshape", [x, graph.whole(together)], together)]


OPERATORS: dict[str, Function] = ARITHMETIC | {
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
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "ReduceMax": _reduce,
    "ReduceMin": _reduce,
    "ReduceL2": _reduce,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "Expand": _expand,
    "Tile": _tile,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _depth_to_space,
}
