"""An ONNX file as it is: its operators, which of its values are constants, and what shapes the others have.

A value is a *parameter* (floating-point weights, and what is computed from them alone), a *constant*, a
*shape* (computed from constants and the shapes of other values alone), or it *flows*. Parameters, constants
and shapes are taken from runs in onnxruntime: no operator on them has to be known.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from secateur_jobs.graph.examples import NotReadable
from secateur_jobs.graph.program import Feed

_OWN_DOMAINS = ("", "ai.onnx")
_MEASURES = ("Shape", "Size")
_KEEPING = ("Cast", "Expand", "Identity", "Reshape", "Squeeze", "Tile", "Transpose", "Unsqueeze")
_ONE = numpy_helper.from_array(np.float32(1.0).reshape([]))


class Kind(Enum):
    """What a value is; see the module."""

    PARAMETER = "parameter"
    CONSTANT = "constant"
    SHAPE = "shape"
    FLOWS = "flows"


class Node:
    """One operator of the file."""

    def __init__(self, proto: onnx.NodeProto) -> None:
        self.operator = proto.op_type if proto.domain in _OWN_DOMAINS else f"{proto.domain}.{proto.op_type}"
        self.inputs, self.outputs = list(proto.input), list(proto.output)
        self.attributes = {one.name: _plain(onnx.helper.get_attribute_value(one)) for one in proto.attribute}
        self.place = f"node {proto.name}" if proto.name else f"it makes {proto.output[0]}"

    def get(self, attribute: str, default: Any) -> Any:
        """Return an attribute; ``default`` where the file does not give it."""
        return self.attributes.get(attribute, default)

    def taken(self, index: int) -> str:
        """Return the name of an input; empty where it is not given."""
        return self.inputs[index] if index < len(self.inputs) else ""

    @property
    def has_graph(self) -> bool:
        """Whether it holds a graph of its own."""
        values = (v for a in self.attributes.values() for v in (a if isinstance(a, list) else [a]))
        return any(isinstance(value, onnx.GraphProto) for value in values)

    def refusal(self, why: str) -> NotReadable:
        """Return the error for what cannot be rebuilt."""
        return NotReadable(f"operator {self.operator} ({self.place}) {why}")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


@dataclass
class Run:
    """What the file answers to one set of inputs."""

    outputs: list[np.ndarray]
    values: dict[str, np.ndarray]
    """Those that do not flow, by name, where what flows takes them."""
    shapes: dict[str, list[int]]
    """Of what flows."""


@dataclass
class OnnxModel:
    """An ONNX file."""

    proto: onnx.ModelProto
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """Initializers and Constant nodes."""

    @cached_property
    def nodes(self) -> list[Node]:
        """What the outputs need, in the order of execution, apart from Constant nodes."""
        needed = {output.name for output in self.proto.graph.output}
        found = []
        for proto in reversed(self.proto.graph.node):
            if proto.op_type != "Constant" and needed.intersection(proto.output):
                found.append(Node(proto))
                needed.update(proto.input)
        return found[::-1]

    @property
    def opset(self) -> int:
        """Version of the operators."""
        return max((one.version for one in self.proto.opset_import if one.domain in _OWN_DOMAINS), default=1)

    @property
    def outputs(self) -> list[str]:
        """Names, in the file's order."""
        return [output.name for output in self.proto.graph.output]

    @cached_property
    def feeds(self) -> list[Feed]:
        """The inputs; those that are initializers too (older files) are none."""
        stored = {one.name for one in self.proto.graph.initializer}
        given = [one for one in self.proto.graph.input if one.name not in stored]
        return [_feed(index, one) for index, one in enumerate(given)]

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """Value to what it is."""
        found = {name: _kind_of(array) for name, array in self.arrays.items()}
        found |= {feed.name: Kind.FLOWS for feed in self.feeds}
        for node in self.nodes:
            kinds = {found.get(name, Kind.FLOWS) for name in node.inputs if name}
            kind = Kind.FLOWS
            if node.operator in _MEASURES:
                kind = Kind.SHAPE
            elif kinds <= {Kind.PARAMETER, Kind.CONSTANT}:
                kind = Kind.PARAMETER if Kind.PARAMETER in kinds else Kind.CONSTANT
            elif kinds <= {Kind.SHAPE, Kind.CONSTANT}:
                kind = Kind.SHAPE
            found |= {output: kind for output in node.outputs if output}
        return found

    @cached_property
    def flowing(self) -> list[Node]:
        """The nodes that work on what flows."""
        return [node for node in self.nodes if Kind.FLOWS in self._made(node)]

    def _made(self, node: Node) -> set[Kind]:
        return {self.kinds[output] for output in node.outputs if output}

    @cached_property
    def ids(self) -> dict[str, int]:
        """Input of whole numbers to how many it tells apart: rows of a table, or numbers compared with."""
        found, origin = {}, {feed.name: feed.name for feed in self.feeds if "int" in feed.dtype}
        for node in self.flowing:
            for name in filter(origin.__contains__, node.inputs):
                others = [self.arrays[other] for other in node.inputs if other in self.arrays]
                if node.operator == "Gather" and node.taken(1) == name and others:
                    found[origin[name]] = others[0].shape[node.get("axis", 0)]
                elif node.operator == "Equal" and others and others[0].size > 1:
                    found[origin[name]] = int(others[0].max()) + 1
                elif node.operator in _KEEPING:
                    origin[node.outputs[0]] = origin[name]
        return found

    def run(self, inputs: dict[str, np.ndarray]) -> Run:
        """Run the file in onnxruntime; raises NotReadable where it cannot."""
        takers = [*(name for node in self.flowing for name in node.inputs if name), *self.outputs]
        still = [name for name in dict.fromkeys(takers) if self.kinds.get(name, Kind.FLOWS) is not Kind.FLOWS]
        computed = [name for name in still if name not in self.arrays]
        answers = _run(_with_exact_sigmoid(self.proto), inputs, [])
        found = _run(self.proto, inputs, computed) if computed else []
        values = {name: self.arrays[name] for name in still if name in self.arrays}
        values |= dict(zip(computed, found, strict=True))
        return Run(answers, values, self._shapes(inputs, values))

    def _shapes(self, inputs: dict[str, np.ndarray], values: dict[str, np.ndarray]) -> dict[str, list[int]]:
        """Infer shapes: with all that does not flow as a number, no symbol is left in them."""
        copy = onnx.ModelProto()
        copy.CopyFrom(self.proto)
        graph = copy.graph
        flowing = {output for node in self.flowing for output in node.outputs}
        kept = [node for node in graph.node if flowing.intersection(node.output)]
        copy.ir_version = 8  # before 4 an initializer has to be an input as well
        for part in (graph.node, graph.value_info, graph.initializer, graph.input, graph.output):
            del part[:]
        graph.node.extend(kept)
        graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in values.items())
        graph.input.extend(
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in inputs.items()
        )
        inferred = onnx.shape_inference.infer_shapes(copy).graph.value_info
        found = {
            one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim]
            for one in inferred
            if all(dim.HasField("dim_value") for dim in one.type.tensor_type.shape.dim)
        }
        found |= {name: list(array.shape) for name, array in (inputs | values).items()}
        return found


def load(file: Path) -> OnnxModel:
    """Read a file; raises NotReadable where it is broken, or weights of it lie elsewhere and are missing."""
    try:
        proto = onnx.load(file, load_external_data=False)
    except Exception as error:  # noqa: BLE001  (of several libraries)
        raise NotReadable(f"it is no whole ONNX file ({type(error).__name__})") from None
    if not proto.graph.output or not proto.opset_import:
        raise NotReadable("it is no whole ONNX file: it has no outputs, or no opset")
    _check_external(proto, file)
    try:
        onnx.external_data_helper.load_external_data_for_model(proto, str(file.parent))
    except Exception as error:  # noqa: BLE001  (what its checks of paths raise)
        raise NotReadable(f"its weights in other files cannot be read: {error}") from None
    arrays = {one.name: numpy_helper.to_array(one) for one in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant" and node.domain in _OWN_DOMAINS:
            arrays[node.output[0]] = _constant(node)
    return OnnxModel(proto, arrays)


def _check_external(proto: onnx.ModelProto, file: Path) -> None:
    for tensor in proto.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = {entry.key: entry.value for entry in tensor.external_data}
        path = file.parent / location.get("location", "")
        if not path.is_file():
            raise NotReadable(f"its weights are in {path.name}, which is missing beside it")
        end = int(location.get("offset", 0)) + int(location.get("length", 0))
        if path.stat().st_size < end:
            raise NotReadable(f"its weights are in {path.name}, which is cut short")


def _constant(node: onnx.NodeProto) -> np.ndarray:
    given = node.attribute[0]
    value = onnx.helper.get_attribute_value(given)
    if given.name == "value":
        return numpy_helper.to_array(value)
    if given.name.startswith(("value_float", "value_int")):
        return np.array(value, np.float32 if "float" in given.name else np.int64)
    raise Node(node).refusal(f"holds {given.name}, which is not known")


def _kind_of(array: np.ndarray) -> Kind:
    return Kind.PARAMETER if array.dtype.kind == "f" and array.size > 1 else Kind.CONSTANT


def _feed(index: int, given: onnx.ValueInfoProto) -> Feed:
    kind = given.type.tensor_type
    shape = [dim.dim_value if dim.dim_value > 0 else -1 for dim in kind.shape.dim]
    dtype = str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)) if kind.elem_type else ""
    if not dtype.startswith(("float", "int", "uint")):
        raise NotReadable(f"input {given.name} is {dtype or 'no tensor'}; only numbers are taken")
    return Feed(index, given.name, shape, dtype)


def _with_exact_sigmoid(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the file with each Sigmoid as ONNX defines it.

    onnxruntime's own is off by up to 1e-7, which is all there is of a map that is nearly 0.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    del copy.graph.node[:]
    one = "secateur.one"
    copy.graph.node.append(onnx.helper.make_node("Constant", [], [one], value=_ONE))
    for node in proto.graph.node:
        if node.op_type != "Sigmoid" or node.domain not in _OWN_DOMAINS:
            copy.graph.node.append(node)
            continue
        names = [f"{node.output[0]}.secateur.{step}" for step in range(3)]
        steps = [("Neg", [node.input[0]]), ("Exp", names[:1]), ("Add", [names[1], one])]
        copy.graph.node.extend(
            onnx.helper.make_node(kind, taken, [made])
            for (kind, taken), made in zip(steps, names, strict=True)
        )
        copy.graph.node.append(onnx.helper.make_node("Reciprocal", names[2:], node.output))
    return copy


def _run(proto: onnx.ModelProto, inputs: dict[str, np.ndarray], wanted: Sequence[str]) -> list[np.ndarray]:
    """Return the outputs of the file, or of values inside it."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it sends names and hashes of models to its maker
    import onnxruntime

    if wanted:
        copy = onnx.ModelProto()
        copy.CopyFrom(proto)
        del copy.graph.output[:]
        copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
        proto = copy
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        found: list[np.ndarray] = session.run(None, inputs)
    except Exception as error:  # noqa: BLE001  (it has no common type)
        raise NotReadable(f"onnxruntime does not run it: {' '.join(str(error).split())[:200]}") from None
    return found
