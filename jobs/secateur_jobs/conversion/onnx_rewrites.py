"""An ONNX file with weights in int8 or fp16.

*Stored* weights are made float32 again by ``Cast`` and ``Mul``, which onnxruntime does once, when it loads
the file: the file is small, and the model runs as before (``DequantizeLinear`` it does in every run). Weights
that it *computes* with stay int8, and what they are multiplied with becomes uint8 in each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np
import onnx
from onnx import helper, numpy_helper

from secateur_jobs.conversion.onnx_weights import Kind, Weight, axes_of, number, rounded, taken_inside, uses

MICROSOFT = "com.microsoft"
_LSTM_INPUTS = 8
Users = Sequence[tuple[onnx.NodeProto, int]]


class Form(Enum):
    """What becomes of a weight."""

    STORED_FP16 = "stored fp16"
    STORED_INT8 = "stored int8"
    INT8 = "int8"
    """Computed with; a convolution's needs to know the ranges of what flows."""


class Edit:
    """Changes to a file, which :meth:`apply` makes."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.proto = proto
        self.users = uses(proto)
        self.arrays = {one.name: numpy_helper.to_array(one) for one in proto.graph.initializer}
        self._added: dict[str, onnx.TensorProto] = {}
        self._first: list[onnx.NodeProto] = []
        self._instead: dict[int, list[onnx.NodeProto]] = {}
        self._after: dict[str, list[onnx.NodeProto]] = {}
        self._halves: dict[int, dict[int, Weight]] = {}
        """Weights of an LSTM by the index of its input: it is int8 if both are."""
        self.nodes = list(proto.graph.node)
        self._place = {id(node): index for index, node in enumerate(self.nodes)}

    def rewrite(self, weight: Weight, form: Form) -> None:
        """Bring a weight into a form.

        A table of embeddings is looked up in int8, so that it never is in memory as float32. What cannot be
        computed with in int8 (a GRU, a weight that unlike operators share) is stored.
        """
        users = self.users[weight.name]
        computed = form is Form.INT8
        if form is Form.STORED_FP16:
            self._store_halved(weight.name)
        elif weight.kind is Kind.EMBEDDING and all(_looks_up(*user) for user in users):
            self._look_up(weight, users)
        elif computed and all(_multiplies(*user, weight) for user in users):
            self._multiply(weight, users)
        elif computed and len(users) == 1 and _recurs(*users[0]):
            self._halves.setdefault(self._place[id(users[0][0])], {})[users[0][1]] = weight
        else:
            self.store(weight)

    def apply(self) -> None:
        """Write the changes into the file."""
        for place, halves in self._halves.items():
            if len(halves) == 2:
                self._recur(self.nodes[place], halves[1], halves[2])
            else:
                self.store(*halves.values())
        graph = self.proto.graph
        given = [*self.arrays, *(one.name for one in graph.input)]
        nodes = [*self._first, *(step for name in given for step in self._after.get(name, []))]
        for index, node in enumerate(self.nodes):
            nodes += self._instead.get(index, [node])
            nodes += [step for name in node.output for step in self._after.get(name, [])]
        kept = self._still_taken(nodes)
        for part, content in ((graph.node, nodes), (graph.initializer, [*kept, *self._added.values()])):
            copies = [type(one).FromString(one.SerializeToString()) for one in content]
            del part[:]
            part.extend(copies)
        del graph.value_info[:]
        known = {one.domain for one in self.proto.opset_import}
        if MICROSOFT not in known and any(node.domain == MICROSOFT for node in nodes):
            self.proto.opset_import.append(helper.make_opsetid(MICROSOFT, 1))

    def _still_taken(self, nodes: Sequence[onnx.NodeProto]) -> list[onnx.TensorProto]:
        """Return the initializers that nodes take and none makes."""
        wanted = {name for node in nodes for name in (*node.input, *taken_inside(node))}
        wanted |= {one.name for one in self.proto.graph.output}
        wanted -= {name for node in nodes for name in node.output}
        return [one for one in self.proto.graph.initializer if one.name in wanted]

    def first(self, *steps: onnx.NodeProto) -> None:
        """Have steps on what is stored."""
        self._first += steps

    def after(self, value: str, *steps: onnx.NodeProto) -> None:
        """Have steps once a value of the file is there; the same steps are had once."""
        known = self._after.setdefault(value, [])
        known += [step for step in steps if step not in known]

    def replace(self, node: onnx.NodeProto, *steps: onnx.NodeProto) -> None:
        """Have steps in place of a node."""
        self._instead[self._place[id(node)]] = list(steps)

    def add(self, name: str, array: np.ndarray) -> str:
        """Add an initializer; return its name."""
        self._added[name] = numpy_helper.from_array(array, name)
        return name

    def _store_halved(self, name: str) -> None:
        half = self.add(f"{name}.fp16", self.arrays[name].astype(np.float16))
        self._first.append(helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))

    def store(self, weight: Weight) -> None:
        """Have a weight in int8 that is float32 again when the file is loaded."""
        numbers, scale = self._add_rounded(weight)
        loose = f"{weight.name}.float"
        self._first += [
            helper.make_node("Cast", [numbers], [loose], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [loose, scale], [weight.name]),
        ]

    def _look_up(self, weight: Weight, users: Users) -> None:
        numbers, scale = self._add_rounded(weight)
        for node, _ in users:
            (made,), ids = node.output, node.input[1]
            self.replace(
                node,
                helper.make_node("Gather", [numbers, ids], [f"{made}.int8"], axis=0),
                helper.make_node("Gather", [scale, ids], [f"{made}.scale"], axis=0),
                helper.make_node("Cast", [f"{made}.int8"], [f"{made}.float"], to=onnx.TensorProto.FLOAT),
                helper.make_node("Mul", [f"{made}.float", f"{made}.scale"], [made]),
            )

    def _multiply(self, weight: Weight, users: Users) -> None:
        array = self.arrays[weight.name]
        numbers, scale = rounded(array, weight.axes)
        if weight.axes == (1,):  # Gemm with transB
            numbers, scale = numbers.T, scale.T
        names = [
            self.add(f"{weight.name}.int8", np.ascontiguousarray(numbers)),
            self.add(f"{weight.name}.scale", scale.ravel()),
        ]
        for node, _ in users:
            self.replace(node, *self._product(node, *names))

    def _product(self, node: onnx.NodeProto, numbers: str, scale: str) -> list[onnx.NodeProto]:
        """Return the steps that onnxruntime has one operator for (MatMulIntegerToFloat)."""
        taken, (made,) = node.input[0], node.output
        self.after(taken, _quantized(taken))
        bias = node.input[2] if node.op_type == "Gemm" and len(node.input) > 2 else ""
        plain = f"{made}.unbiased" if bias else made
        steps = [
            helper.make_node(
                "MatMulInteger", [f"{taken}.uint8", numbers, f"{taken}.zero"], [f"{made}.int32"]
            ),
            helper.make_node("Cast", [f"{made}.int32"], [f"{made}.float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{taken}.scale", scale], [f"{made}.scale"]),
            helper.make_node("Mul", [f"{made}.float", f"{made}.scale"], [plain]),
        ]
        return [*steps, helper.make_node("Add", [plain, bias], [made])] if bias else steps

    def _recur(self, node: onnx.NodeProto, *weights: Weight) -> None:
        """Make it onnxruntime's own operator, whose weights are the transposed ones."""
        names, scales = [], []
        for weight in weights:
            numbers, scale = rounded(self.arrays[weight.name], weight.axes)
            names.append(self.add(f"{weight.name}.int8", np.ascontiguousarray(numbers.transpose(0, 2, 1))))
            scales += [
                self.add(f"{weight.name}.scale", scale[..., 0]),
                self.add(f"{weight.name}.zero", np.zeros(scale.shape[:2], np.int8)),
            ]
        taken = [*node.input, *[""] * (_LSTM_INPUTS - len(node.input))]
        step = onnx.NodeProto(name=node.name, op_type="DynamicQuantizeLSTM", domain=MICROSOFT)
        step.input.extend([taken[0], *names, *taken[3:], *scales])
        step.output.extend(node.output)
        step.attribute.extend(one for one in node.attribute if one.name != "layout")
        self.replace(node, step)

    def _add_rounded(self, weight: Weight) -> tuple[str, str]:
        numbers, scale = rounded(self.arrays[weight.name], weight.axes)
        return self.add(f"{weight.name}.int8", numbers), self.add(f"{weight.name}.scale", scale)


def _quantized(name: str) -> onnx.NodeProto:
    return helper.make_node(
        "DynamicQuantizeLinear", [name], [f"{name}.uint8", f"{name}.scale", f"{name}.zero"]
    )


def _looks_up(node: onnx.NodeProto, index: int) -> bool:
    return (node.op_type, index) == ("Gather", 0) and number(node, "axis", 0) == 0


def _recurs(node: onnx.NodeProto, index: int) -> bool:
    return node.op_type == "LSTM" and index in (1, 2) and number(node, "layout", 0) == 0


def _multiplies(node: onnx.NodeProto, index: int, weight: Weight) -> bool:
    """Whether a node multiplies what flows by a matrix, whose channels are the weight's."""
    if index != 1 or len(weight.shape) != 2 or axes_of(node, 2) != weight.axes:
        return False
    plain = number(node, "transA", 0) == 0 and number(node, "alpha", 1) == number(node, "beta", 1) == 1
    return node.op_type == "MatMul" or (node.op_type == "Gemm" and plain)
