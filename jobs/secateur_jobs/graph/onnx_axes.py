"""What each ONNX operator is in the operators of Paddle: those that arrange, part or sum up axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from secateur_jobs.graph.onnx_graph import LARGEST, Graph
from secateur_jobs.graph.onnx_model import Node


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
        filling = graph.number(float(np.ravel(value)[0]))
        return [graph.make("pad", [x, filling], paddings=[pad for pair in pairs for pad in pair])]
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


AXES: dict[str, Callable[[Graph, Node], list[int]]] = {
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
