"""The weights of an ONNX file, and which of them int8 can be had of, under names that a user knows.

A file of Paddle2ONNX holds its weights as Constant nodes, through steps that compute nothing new (an
embedding times the mask of its padding, the parts of an LSTM put together, a batch normalisation behind its
convolution). onnxruntime's own first level of optimisation does these once; what is left are initializers.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from secateur_api.conditions import Reason
from secateur_jobs.runtime.errors import InvalidInput

LEAST_ELEMENTS = 256
"""Smaller weights stay as they are: their scales and nodes would weigh as much."""
LEAST_PER_SCALE = 4
"""Numbers of a channel; with fewer of them int8 and a scale are no smaller."""
LEVELS = 127
"""int8 from -127 to 127: the same step on both sides of 0."""

_FUSED = re.compile(r"^Conv(?:Bn|Add|Mul)Fusion_(?:BN_)?(?:Add_|Mul_)?[WB]_")
_NOT_YET = ["MatMulAddFusion"]
"""Done when the result is loaded: twice, it makes some names twice, and onnxruntime reads no such file."""
_LOST_FP16 = 0.01
"""Of the norm of a weight; 0.0002 where fp16 has all its digits."""
_DOMAINS = ("", "ai.onnx")


class Kind(Enum):
    """What a weight is used for."""

    LINEAR = "linear"
    CONV = "conv"
    RECURRENT = "recurrent"
    EMBEDDING = "embedding"
    OTHER = "other"
    """What int8 cannot be had of."""


_USES = {
    ("MatMul", 1): Kind.LINEAR,
    ("Gemm", 1): Kind.LINEAR,
    ("Conv", 1): Kind.CONV,
    ("ConvTranspose", 1): Kind.CONV,
    ("LSTM", 1): Kind.RECURRENT,
    ("LSTM", 2): Kind.RECURRENT,
    ("GRU", 1): Kind.RECURRENT,
    ("GRU", 2): Kind.RECURRENT,
    ("Gather", 0): Kind.EMBEDDING,
    ("Add", 0): Kind.EMBEDDING,  # places, which are looked up once for all
    ("Add", 1): Kind.EMBEDDING,
}


@dataclass(frozen=True)
class Weight:
    """An initializer of the prepared file."""

    name: str
    layer: str
    """The structured name of its layer where it is known, else that of the parameter in the file."""
    kind: Kind
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    """Those that one scale of int8 goes over; the others are the channels."""
    nodes: tuple[str, ...]
    """That use it: operator and name."""
    why_not: str = ""
    """Why int8 would spoil it; empty if it would not."""
    why_not_fp16: str = ""

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def prepared(path: Path, folder: Path) -> onnx.ModelProto:
    """Return an ONNX file as the same model whose weights are initializers, in the order of their names.

    Raises InvalidInput (CONVERSION_UNSUPPORTED) if onnxruntime cannot load it; OSError for a full disk.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it sends names and hashes of models to its maker
    import onnxruntime

    output = folder / f"{path.stem}.prepared.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(output)
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=_NOT_YET
        )
        proto = onnx.load(output)
    except Exception as error:  # noqa: BLE001  (it has no common type)
        reason = " ".join(str(error).split())[:200]
        if "serialization failed" in reason:  # all that it says where it cannot write
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(output)) from None
        raise InvalidInput(
            Reason.CONVERSION_UNSUPPORTED, f"{path.name} cannot be loaded by onnxruntime: {reason}"
        ) from None
    finally:
        output.unlink(missing_ok=True)
    used = {node.domain for node in proto.graph.node} | {""}
    versions = [one for one in proto.opset_import if one.domain in used]
    initializers = sorted(proto.graph.initializer, key=lambda one: one.name)  # theirs is an order in memory
    del proto.opset_import[:], proto.graph.initializer[:]
    proto.opset_import.extend(versions)
    proto.graph.initializer.extend(initializers)
    return proto


def weights_in(proto: onnx.ModelProto, original: onnx.ModelProto, layers: Mapping[str, str]) -> list[Weight]:
    """Return the weights of a prepared file in the order of execution, those that int8 cannot be had of too.

    Biases and normalisations are none. ``original`` is the file that it was made of, ``layers`` its
    parameters to the names of their layers. Raises InvalidInput (WEIGHTS_INVALID) naming a weight that is not
    finite.
    """
    arrays = {one.name: one for one in proto.graph.initializer if _is_matrix(one)}
    users = uses(proto)
    origins = _origins(original)
    found = []
    for name in dict.fromkeys(name for node in proto.graph.node for name in node.input if name in arrays):
        node, kind = _use(users[name])
        array = numpy_helper.to_array(arrays[name])
        layer, multiplies = _layer(name, origins, layers), kind is not Kind.OTHER and node.op_type != "Add"
        if not multiplies and array.size == max(array.shape):
            continue  # a bias, or of a normalisation
        if multiplies:  # a mask may be infinite
            _check_finite(array, layer, name)
        axes = axes_of(node, array.ndim)
        unfit = _unfit(node, kind, array, axes)
        found.append(
            Weight(
                name=name,
                layer=layer,
                kind=kind,
                shape=array.shape,
                axes=axes,
                nodes=tuple(f"{node.op_type} {node.name}" for node, _ in users[name]),
                why_not=unfit or spoilt(array, axes),
                why_not_fp16=unfit or _spoilt_fp16(array),
            )
        )
    return found


def _use(users: Sequence[tuple[onnx.NodeProto, int]]) -> tuple[onnx.NodeProto, Kind]:
    known = ((node, _USES[key]) for node, index in users if (key := (node.op_type, index)) in _USES)
    return next(known, (users[0][0], Kind.OTHER))


def _unfit(node: onnx.NodeProto, kind: Kind, array: np.ndarray, axes: Sequence[int]) -> str:
    if kind is Kind.OTHER:
        return f"{node.op_type} takes no weights in 8 bits"
    if not np.isfinite(array).all():
        return "it is not finite"
    if array.size < LEAST_ELEMENTS or math.prod(array.shape[axis] for axis in axes) < LEAST_PER_SCALE:
        return f"scales of its {array.size} numbers would take as much as they save"
    return ""


def uses(proto: onnx.ModelProto) -> dict[str, list[tuple[onnx.NodeProto, int]]]:
    """Return value to the nodes that take it, each with the index of the input; -1 in a graph of a node's."""
    found: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            found.setdefault(name, []).append((node, index))
        for name in taken_inside(node):
            found.setdefault(name, []).append((node, -1))
    return found


def taken_inside(node: onnx.NodeProto) -> set[str]:
    """Return the values that graphs of a node take."""
    found = set[str]()
    for one in node.attribute:
        for graph in (one.g, *one.graphs):
            for inner in graph.node:
                found.update(inner.input)
                found |= taken_inside(inner)
    return found


def rounded(array: np.ndarray, axes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return int8 numbers and their scales, float32 of the same rank with 1 along ``axes``."""
    largest = np.abs(array).max(axis=tuple(axes), keepdims=True).astype(np.float64)
    scale = (largest / LEVELS).astype(np.float32)
    scale[scale < np.finfo(np.float32).tiny] = 1.0  # of nothing but zeros
    return np.rint(array / scale).clip(-LEVELS, LEVELS).astype(np.int8), scale


def spoilt(array: np.ndarray, axes: Sequence[int]) -> str:
    """Say which channel would lose most of its numbers, as one of them is far larger; empty if none would."""
    numbers, _ = rounded(array, axes)
    filled = np.count_nonzero(array, axis=tuple(axes), keepdims=True)
    kept = np.count_nonzero(numbers, axis=tuple(axes), keepdims=True)
    share = kept / np.maximum(filled, 1)
    worst = np.unravel_index(int(np.argmin(np.where(filled > 0, share, 1.0))), share.shape)
    if filled[worst] == 0 or share[worst] > 0.5:
        return ""
    largest = np.abs(array).max(axis=tuple(axes), keepdims=True)[worst]
    return (
        f"{filled[worst] - kept[worst]} of the {filled[worst]} numbers of channel "
        f"{'/'.join(str(i) for axis, i in enumerate(worst) if axis not in axes)} would become 0, "
        f"as the largest is {float(largest):.3g}"
    )


def _spoilt_fp16(array: np.ndarray) -> str:
    limits, largest = np.finfo(np.float16), float(np.abs(array).max())
    if largest > limits.max:
        return f"its largest number is {largest:.3g}, fp16 ends at {float(limits.max):.0f}"
    lost = np.linalg.norm(array - array.astype(np.float16))
    if lost > _LOST_FP16 * np.linalg.norm(array):
        return f"its largest number is {largest:.3g}, which fp16 hardly tells from 0"
    return ""


def _is_matrix(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) >= 2 and math.prod(tensor.dims) > 0


def axes_of(node: onnx.NodeProto, rank: int) -> tuple[int, ...]:
    """Return the axes within a channel: those of one unit's weights, of one row of a table."""
    channel: tuple[int, ...] = (0,)
    if node.op_type == "MatMul":
        channel = (*range(rank - 2), rank - 1)
    elif node.op_type == "Gemm":
        channel = (0,) if number(node, "transB", 0) else (1,)
    elif node.op_type == "ConvTranspose":
        channel = (1,)
    elif node.op_type in ("LSTM", "GRU"):
        channel = (0, 1)
    elif node.op_type == "Gather":
        channel = (int(number(node, "axis", 0)) % rank,)
    elif node.op_type == "Add":
        channel = tuple(range(rank - 1))
    return tuple(axis for axis in range(rank) if axis not in channel)


def number(node: onnx.NodeProto, name: str, default: float) -> float:
    """Return a number that is an attribute of a node; ``default`` where the file does not give it."""
    found = [onnx.helper.get_attribute_value(one) for one in node.attribute if one.name == name]
    return float(found[0]) if found else default


def _check_finite(array: np.ndarray, layer: str, name: str) -> None:
    wrong = array.size - int(np.isfinite(array).sum())
    if wrong:
        raise InvalidInput(
            Reason.WEIGHTS_INVALID,
            f"the weights of {layer} ({name}): {wrong} of {array.size} numbers are not finite; look at the "
            "training, or at the file that they come from",
        )


def _origins(original: onnx.ModelProto) -> dict[str, set[str]]:
    """Return value to the stored ones that it is computed from, of those computed from nothing else."""
    found = {one.name: {one.name} for one in original.graph.initializer}
    for node in original.graph.node:
        if node.op_type == "Constant" and node.domain in _DOMAINS:
            found[node.output[0]] = {node.output[0]}
        elif all(name in found for name in node.input if name):
            known = set[str]().union(*(found[name] for name in node.input if name))
            found |= dict.fromkeys(node.output, known)
    return found


def _layer(name: str, origins: Mapping[str, set[str]], layers: Mapping[str, str]) -> str:
    plain = name
    while (match := _FUSED.match(plain)) is not None:
        plain = plain[match.end() :]
    known = sorted({layers[one] for one in origins.get(plain, {plain}) if one in layers})
    return ", ".join(known) or plain
