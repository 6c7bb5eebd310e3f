"""The weights of a Paddle Lite model, and how they are stored in fewer bits.

Paddle Lite restores 8 and 16 bit weights to floats as it loads a model (``DequantizeWeight`` in its
``light_api.cc``), by attributes of the operator: ``quantize_weight_bits`` and, for each weight, one scale a
channel. Its own tool (``opt --quant_model``, ``post_quant_dynamic_pass.cc``) leaves depthwise weights as they
are, and takes the same bits for all layers; here the attributes are written into the program as its passes
leave it.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from secateur_jobs.conversion import program as p
from secateur_jobs.conversion.program import Block, Op, proto
from secateur_jobs.conversion.to_lite import Readable

_RESTORED = {
    "conv2d": ("Filter", 0),
    "depthwise_conv2d": ("Filter", 0),
    "fc": ("W", 1),
    "mul": ("Y", 1),
    "lookup_table": ("W", 1),
}
"""Operators whose weights Paddle Lite 2.13rc0 restores: the input, and the axis that has a scale each."""
_NUMPY = {8: np.int8, 16: np.int16}
_TYPES = {
    "float32": proto.VarType.FP32,
    "int8": proto.VarType.INT8,
    "int16": proto.VarType.INT16,
    "int32": proto.VarType.INT32,
    "int64": proto.VarType.INT64,
    "bool": proto.VarType.BOOL,
}
_HEADER = "<IQIi"
"""Of a tensor in Paddle's stream: version, levels of detail, version again, length of the description."""


@dataclass(frozen=True)
class Weight:
    """A float weight with two axes or more."""

    name: str
    elements: int
    kept: str
    """Why it can only stay in 32 bits; empty for others."""
    axis: int
    """Along which each channel has a scale of its own."""


def weights_of(model: Readable) -> list[Weight]:
    """Return the weights, in the order of the program's operators."""
    block = p.parse(model.program).blocks[0]
    arrays = _read(block, model.params)
    uses = Counter(name for op in block.ops for name in p.all_arguments(op.inputs))
    found: dict[str, Weight] = {}
    for op in block.ops:
        for name in p.all_arguments(op.inputs):
            array = arrays.get(name)
            if array is not None and array.ndim > 1 and array.dtype == np.float32:
                kept, axis = _kept(op, name, array, uses[name])
                found[name] = Weight(name, array.size, kept, axis)
    return list(found.values())


def stored(array: np.ndarray, bits: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a weight as whole numbers of so many bits, and the scale of each channel along ``axis``.

    Symmetric, by the largest absolute value of the channel; a channel of zeros has scale 0.
    """
    others = tuple(one for one in range(array.ndim) if one != axis)
    scale = np.abs(array).max(axis=others, keepdims=True) / (2 ** (bits - 1) - 1)
    whole = np.rint(array / np.where(scale == 0, 1, scale)).astype(_NUMPY[bits])
    return whole, scale.reshape(-1).astype(np.float32)


def restored(array: np.ndarray, bits: int, axis: int) -> np.ndarray:
    """Return the floats that a weight is after it was stored in so many bits."""
    whole, scale = stored(array, bits, axis)
    shape = [-1 if one == axis else 1 for one in range(array.ndim)]
    return np.asarray(whole * scale.reshape(shape), np.float32)


def narrowed(model: Readable, bits: Mapping[str, int]) -> Readable:
    """Return the program with weights in the bits that are named; others stay as they are."""
    program = p.parse(model.program)
    block = program.blocks[0]
    arrays = _read(block, model.params)
    for op in block.ops:
        parameter, axis = _RESTORED.get(op.type, ("", 0))
        for name in p.arguments(op.inputs, parameter):
            if name in bits:
                arrays[name], scale = stored(arrays[name], bits[name], axis)
                _describe(op, name, bits[name], scale)
    # the variable's own type stays float: a pass would look for a kernel that casts it
    return Readable(bytes(program.SerializeToString()), _written(arrays))


def _kept(op: Op, name: str, array: np.ndarray, uses: int) -> tuple[str, int]:
    parameter, axis = _RESTORED.get(op.type, ("", 0))
    if name not in p.arguments(op.inputs, parameter):
        return f"Paddle Lite restores no weight of {op.type}", axis
    if uses > 1:  # it would be restored twice, in place
        return f"{uses} operators share it, and Paddle Lite would restore it for each", axis
    if not np.isfinite(array).all():
        return "it is not finite", axis
    return "", axis


def _describe(op: Op, name: str, bits: int, scale: np.ndarray) -> None:
    op.attrs.add(name="quantization_type", type=proto.STRING, s="post_weight_channel_wise_abs_max")
    op.attrs.add(name="quantize_weight_bits", type=proto.INT, i=bits)
    op.attrs.add(name=f"{name}_quant_scale", type=proto.FLOATS, floats=scale.tolist())


def _read(block: Block, content: bytes) -> dict[str, np.ndarray]:
    """Return the parameters; the stream has them in the order of their names."""
    names = sorted(v.name for v in block.vars if v.persistable and v.type.type == proto.VarType.DENSE_TENSOR)
    types = {number: np.dtype(name) for name, number in _TYPES.items()}
    found, at = {}, 0
    for name in names:
        _, _, _, length = struct.unpack_from(_HEADER, content, at)
        at += struct.calcsize(_HEADER)
        described = proto.VarType.TensorDesc.FromString(content[at : at + length])
        at += length
        count, dtype = int(np.prod(described.dims)), types[described.data_type]
        found[name] = np.frombuffer(content, dtype, count, at).reshape(described.dims)
        at += count * dtype.itemsize
    if at != len(content):
        raise RuntimeError(f"Paddle Lite's parameters have {len(content)} bytes, read were {at}")
    return found


def _written(arrays: Mapping[str, np.ndarray]) -> bytes:
    parts = []
    for name in sorted(arrays):
        array = arrays[name]
        described = proto.VarType.TensorDesc(data_type=_TYPES[str(array.dtype)], dims=array.shape)
        text = described.SerializeToString()
        parts += [struct.pack(_HEADER, 0, 0, 0, len(text)), text, array.tobytes()]
    return b"".join(parts)
