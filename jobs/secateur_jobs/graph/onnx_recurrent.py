"""An ONNX LSTM or GRU as Paddle's operator of recurrent layers."""

from __future__ import annotations

import numpy as np

from secateur_jobs.graph.onnx_graph import Graph
from secateur_jobs.graph.onnx_model import Node

_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2)}
"""Where Paddle's gates are among ONNX's: input, output, forget, cell; update, reset, hidden."""
_ACTIVATIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}


def recurrent(graph: Graph, node: Node) -> list[int]:
    """Make a layer whose states begin at zero and are used by nobody else; raises NotReadable for others."""
    weights = [graph.array(name) for name in node.inputs[1:3]]
    if weights[0] is None or weights[1] is None:
        raise node.refusal("cannot be rebuilt: its weights depend on the data")
    directions, hidden, gates = weights[1].shape[0], weights[1].shape[2], _GATES[node.operator]
    _check(graph, node, directions)
    without = np.zeros([directions, 2 * len(gates) * hidden], np.float32)
    bias = graph.array(node.taken(3)) if node.taken(3) else without
    if bias is None:
        raise node.refusal("cannot be rebuilt: its bias depends on the data")
    arrays = [part[direction] for direction in range(directions) for part in weights if part is not None]
    arrays += [part[direction] for direction in range(directions) for part in np.split(bias, 2, axis=1)]
    parameters = [
        graph.parameter(
            np.concatenate([np.split(array, len(gates))[gate] for gate in gates]), f"{name}.{index}"
        )
        for name in [node.taken(1)]
        for index, array in enumerate(arrays)
    ]
    zero = graph.number(0.0)
    taken = [
        graph.tensor(node.taken(0)),
        graph.make("builtin.combine", [zero, zero]),
        graph.make("builtin.combine", parameters),
        None,
    ]
    given = {"mode": node.operator, "input_size": weights[0].shape[2], "hidden_size": hidden, "num_layers": 1}
    made = graph.make_all("rnn", taken, [None] * 4, given | {"is_bidirec": directions == 2})
    apart = [0, 0, directions, -1]
    sequence = graph.make("reshape", [made[0], graph.whole(apart)], apart)
    return [graph.make("transpose", [sequence], perm=[0, 2, 1, 3])]


def _check(graph: Graph, node: Node, directions: int) -> None:
    if not all(graph.begins_at_zero(name) for name in node.inputs[5:7] if name):
        raise node.refusal("cannot be rebuilt: its states do not begin at zero")
    if any(graph.is_used(name) for name in node.outputs[1:]):
        raise node.refusal("cannot be rebuilt: its last states are used")
    wanted = _ACTIVATIONS[node.operator] * directions
    own = [
        node.get("activations", wanted) == wanted,
        node.get("linear_before_reset", 0) == (node.operator == "GRU"),
        node.get("direction", "forward") != "reverse",
        not (node.taken(7) or node.get("layout", 0) or node.get("input_forget", 0) or node.get("clip", 0)),
    ]
    if not all(own):
        raise node.refusal("of this kind cannot be rebuilt")
    if node.taken(4):
        lengths, steps = graph.array(node.taken(4)), graph.shape(node.taken(0))[0]
        if lengths is None or (lengths != steps).any():
            raise node.refusal("over sequences of several lengths cannot be rebuilt")
