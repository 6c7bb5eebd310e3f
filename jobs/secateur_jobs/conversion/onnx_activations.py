"""Convolutions that compute in int8: with uint8 of a fixed range on both sides of each.

Steps and ranges are written as onnxruntime reads them (``QuantizeLinear`` and ``DequantizeLinear``; it makes
one operator of them). Only convolutions are: where all operators were, MobileNetV3 took 3.5 times as long. On
x86 without VNNI sums of two products are cut off at 16 bits; ARM and newer x86 compute them in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from secateur_jobs.conversion.onnx_ranges import Range
from secateur_jobs.conversion.onnx_rewrites import Edit
from secateur_jobs.conversion.onnx_weights import Weight, rounded

_CLIPS = ("Relu", "Clip")
"""Which are a matter of the range of uint8."""
_CURVED = ("Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "Selu", "Sigmoid", "Softplus", "Tanh")
"""Which onnxruntime computes in float32, and as part of the convolution only if that is float32 too."""
_LARGEST = 2**30
"""A bias in steps: there is room for the sum that it is added to."""


@dataclass(frozen=True)
class Convolution:
    """One that may compute in int8."""

    weight: Weight
    node: onnx.NodeProto
    taken: str
    made: str
    """Its result, or that of the activation behind it, which onnxruntime makes part of it."""


def convolutions(edit: Edit, weights: Sequence[Weight]) -> list[Convolution]:
    """Return the convolutions that take these weights, of which nothing else takes one."""
    outputs = {one.name for one in edit.proto.graph.output}
    found = []
    for weight in weights:
        users = edit.users[weight.name]
        if any((node.op_type, index) != ("Conv", 1) for node, index in users):
            continue
        for node, _ in users:
            made = node.output[0]
            behind = edit.users.get(made, [])
            if made not in outputs and len(behind) == 1 and behind[0][0].op_type in _CLIPS:
                made = behind[0][0].output[0]
            found.append(Convolution(weight, node, node.input[0], made))
    return found


def convolve(edit: Edit, found: Sequence[Convolution], ranges: Mapping[str, Range]) -> None:
    """Have these convolutions compute in int8; those that would lose by it are stored.

    That is where a range is not known (nothing but 0 was seen), or a bias is too large for its steps; and
    where the steps cost more than they save: at a map of one position, as in squeeze and excitation, and
    before an activation such as h-swish (MobileNetV3 took 1.3 times as long with those as in float32).
    """
    unfit = {one.weight.name for one in found if not _fits(edit, one, ranges)}
    for name, weight in {one.weight.name: one.weight for one in found}.items():
        if name in unfit:
            edit.store(weight)
        else:
            numbers, scale = rounded(edit.arrays[name], weight.axes)
            _dequantize(edit, name, numbers, scale.ravel())
    chosen = [one for one in found if one.weight.name not in unfit]
    held = {one.made for one in chosen}
    makers = {name: node for node in edit.nodes for name in node.output}
    for one in chosen:
        step = _copy(one.node)
        if one.taken not in held:
            step.input[0] = f"{one.taken}.fixed.float"
            edit.after(one.taken, *_held(edit, one.taken, step.input[0], one.taken, ranges[one.taken]))
        if (bias := _bias(one.node)) is not None:
            scale = _bias_scale(edit, one, ranges[one.taken])
            step.input[2] = f"{step.output[0]}.bias"
            _dequantize(edit, step.input[2], np.rint(edit.arrays[bias] / scale).astype(np.int32), scale)
        maker = step
        if one.made != one.node.output[0]:
            edit.replace(one.node, step)
            maker = _copy(makers[one.made])
        loose = maker.output[0] = f"{one.made}.loose"
        edit.replace(makers[one.made], maker, *_held(edit, loose, one.made, one.made, ranges[one.made]))


def _fits(edit: Edit, one: Convolution, ranges: Mapping[str, Range]) -> bool:
    taken, made = ranges.get(one.taken), ranges.get(one.made)
    behind = edit.users.get(one.node.output[0], [])
    if taken is None or made is None or made.positions == 1 or any(n.op_type in _CURVED for n, _ in behind):
        return False
    scale, bias = _bias_scale(edit, one, taken), _bias(one.node)
    if bias is None:
        return True
    if bias not in edit.arrays or not (scale > np.finfo(np.float32).tiny).all():
        return False
    return bool((np.abs(edit.arrays[bias]) <= _LARGEST * scale).all())


def _bias(node: onnx.NodeProto) -> str | None:
    return node.input[2] if len(node.input) > 2 and node.input[2] else None


def _bias_scale(edit: Edit, one: Convolution, taken: Range) -> np.ndarray:
    _, scale = rounded(edit.arrays[one.weight.name], one.weight.axes)
    return (scale * taken.scale).ravel()


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    made = onnx.NodeProto()
    made.CopyFrom(node)
    return made


def _held(edit: Edit, value: str, made: str, name: str, seen: Range) -> list[onnx.NodeProto]:
    """Return the steps from a value to the same in uint8 and back."""
    scale = edit.add(f"{name}.fixed.scale", np.array(seen.scale))
    zero = edit.add(f"{name}.fixed.zero", np.array(seen.zero))
    return [
        helper.make_node("QuantizeLinear", [value, scale, zero], [f"{name}.fixed"]),
        helper.make_node("DequantizeLinear", [f"{name}.fixed", scale, zero], [made]),
    ]


def _dequantize(edit: Edit, name: str, numbers: np.ndarray, scale: np.ndarray) -> None:
    """Have whole numbers stand for the value ``name``, a scale for each entry of the first axis."""
    given = [
        edit.add(f"{name}.{numbers.dtype}", numbers),
        edit.add(f"{name}.scale", scale),
        edit.add(f"{name}.zero", np.zeros(len(scale), numbers.dtype)),
    ]
    edit.first(helper.make_node("DequantizeLinear", given, [name], axis=0))
