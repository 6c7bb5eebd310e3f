"""Operators that a file has in pieces, put together again: layer normalisation, HardSwish, SiLU, GELU.

Exporters take them apart where the opset of the file has no operator for them. Whole they are cut as layers
(the mean of a normalisation ties no channels) and run as fast as the network did before its export.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from secateur_jobs.graph.onnx_model import Node


def put_together(
    nodes: Sequence[Node], arrays: Mapping[str, np.ndarray], ranks: Mapping[str, int], outputs: Sequence[str]
) -> list[Node]:
    """Return the nodes with whole operators in the place of their last pieces.

    ``arrays`` are the constants by name, ``ranks`` the numbers of axes of what flows.
    """
    pieces = _Pieces(nodes, arrays, ranks)
    whole = [next(filter(None, (find(pieces, node) for find in _PATTERNS)), node) for node in nodes]
    needed, found = set(outputs), []
    for node in reversed(whole):
        if needed.intersection(node.outputs):
            found.append(node)
            needed.update(node.inputs)
    return found[::-1]


class _Pieces:
    """The nodes of a file by what they make."""

    def __init__(
        self, nodes: Sequence[Node], arrays: Mapping[str, np.ndarray], ranks: Mapping[str, int]
    ) -> None:
        self._makers = {output: node for node in nodes for output in node.outputs}
        self._arrays, self._ranks = arrays, ranks

    def maker(self, name: str, operator: str) -> Node | None:
        """Return the node that makes a value if it is that operator."""
        node = self._makers.get(name)
        return node if node is not None and node.operator == operator else None

    def flowing(self, node: Node | None, number: float) -> str | None:
        """Return the side that is no constant of an operation with ``number``."""
        found = self.with_number(node)
        return found[0] if found is not None and math.isclose(found[1], number, rel_tol=1e-4) else None

    def with_number(self, node: Node | None) -> tuple[str, float] | None:
        """Return the side that is no constant, and the one number on the other."""
        for one, other in self.sides(node):
            array = self._arrays.get(other)
            if array is not None and array.size == 1 and one not in self._arrays:
                return one, float(array.reshape(-1)[0])
        return None

    def constant(self, node: Node, index: int, attribute: str) -> float | None:
        """Return a number that is an input, or was an attribute in older opsets."""
        array = self._arrays.get(node.taken(index)) if node.taken(index) else None
        found = node.get(attribute, None) if array is None else array.reshape(-1)[0]
        return None if found is None else float(found)

    def with_vector(self, node: Node | None) -> tuple[str, str] | None:
        """Return the side that flows, and the name of one number per place of its last axis on the other."""
        for one, other in self.sides(node):
            array = self._arrays.get(other)
            if array is not None and array.size > 1 and array.shape[-1:] == (array.size,):
                return one, other
        return None

    def sides(self, node: Node | None) -> list[tuple[str, str]]:
        """Return both sides of an operation in both orders; in its own alone where it has one."""
        if node is None or len(node.inputs) != 2:
            return []
        own = (node.inputs[0], node.inputs[1])
        return [own, own[::-1]] if node.operator in ("Add", "Mul") else [own]

    def averaged(self, name: str) -> str | None:
        """Return what a value is the mean of, over the last axis."""
        node = self.maker(name, "ReduceMean")
        if node is None or not node.get("keepdims", 1):
            return None
        stored = self._arrays.get(node.taken(1)) if node.taken(1) else None
        axes = node.get("axes", None) if stored is None else stored.tolist()
        last = self._ranks.get(node.taken(0), 0) - 1
        return node.taken(0) if axes in ([-1], [last]) else None


def _layer_norm(pieces: _Pieces, node: Node) -> Node | None:
    """``(x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * weight + bias``."""
    shifted = pieces.with_vector(node) if node.operator == "Add" else None
    scaled = pieces.with_vector(pieces.maker(shifted[0], "Mul")) if shifted else None
    divided = pieces.maker(scaled[0], "Div") if scaled else None
    if shifted is None or scaled is None or divided is None:
        return None
    centred, root = divided.inputs
    sqrt, subtracted = pieces.maker(root, "Sqrt"), pieces.maker(centred, "Sub")
    variance = pieces.with_number(pieces.maker(sqrt.taken(0), "Add")) if sqrt else None
    squares = pieces.averaged(variance[0]) if variance else None
    if variance is None or squares is None or subtracted is None:
        return None
    power, product = pieces.maker(squares, "Pow"), pieces.maker(squares, "Mul")
    is_square = pieces.flowing(power, 2) == centred or (product and set(product.inputs) == {centred})
    if not is_square or pieces.averaged(subtracted.taken(1)) != subtracted.taken(0):
        return None
    inputs = [subtracted.taken(0), scaled[1], shifted[1]]
    return _whole("LayerNormalization", inputs, node, epsilon=variance[1])


def _hard_swish(pieces: _Pieces, node: Node) -> Node | None:
    """``x * clip(x + 3, 0, 6) / 6``."""
    product = pieces.maker(pieces.flowing(node, 6) or "", "Mul") if node.operator == "Div" else None
    for x, bounded in pieces.sides(product):
        clip = pieces.maker(bounded, "Clip")
        if clip is None:
            continue
        bounds = [pieces.constant(clip, index, name) for index, name in ((1, "min"), (2, "max"))]
        if bounds == [0, 6] and pieces.flowing(pieces.maker(clip.taken(0), "Add"), 3) == x:
            return _whole("HardSwish", [x], node)
    return None


def _silu(pieces: _Pieces, node: Node) -> Node | None:
    """``x * sigmoid(x)``."""
    for x, gate in pieces.sides(node) if node.operator == "Mul" else ():
        sigmoid = pieces.maker(gate, "Sigmoid")
        if sigmoid is not None and sigmoid.taken(0) == x:
            return _whole("Swish", [x], node)
    return None


def _gelu(pieces: _Pieces, node: Node) -> Node | None:
    """``x * (1 + erf(x / sqrt(2))) * 0.5``, the half anywhere."""
    if node.operator != "Mul":
        return None
    factors, halves = _factors(pieces, node)
    for x, other in (factors, factors[::-1]) if len(factors) == 2 and halves == 0.5 else ():
        erf = pieces.maker(pieces.flowing(pieces.maker(other, "Add"), 1) or "", "Erf")
        part = erf.taken(0) if erf else ""
        divided, multiplied = pieces.maker(part, "Div"), pieces.maker(part, "Mul")
        if x in (pieces.flowing(divided, math.sqrt(2)), pieces.flowing(multiplied, math.sqrt(0.5))):
            return _whole("Gelu", [x], node)
    return None


def _factors(pieces: _Pieces, node: Node) -> tuple[list[str], float]:
    """Return what two products on top of each other multiply, and the one number among it."""
    single = pieces.with_number(node)
    if single is not None:
        inner = pieces.maker(single[0], "Mul")
        return (list(inner.inputs) if inner is not None else []), single[1]
    singles = [pieces.with_number(pieces.maker(name, "Mul")) for name in node.inputs]
    found = [name if one is None else one[0] for name, one in zip(node.inputs, singles, strict=True)]
    return found, math.prod(one[1] for one in singles if one is not None)


def _whole(operator: str, inputs: Sequence[str], last: Node, **given: Any) -> Node:
    proto = onnx.helper.make_node(operator, list(inputs), last.outputs, **given)
    whole = Node(proto)
    whole.place = last.place
    return whole


_PATTERNS: tuple[Callable[[_Pieces, Node], Node | None], ...] = (_layer_norm, _hard_swish, _silu, _gelu)
