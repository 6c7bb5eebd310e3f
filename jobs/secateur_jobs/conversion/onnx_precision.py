"""An ONNX model with weights in int8 or fp16, and convolutions that compute in int8.

Whether such a model may be used is for :mod:`.onnx_gates` to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from secateur_api.conditions import Reason
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.conversion.onnx_activations import convolutions, convolve
from secateur_jobs.conversion.onnx_ranges import Calibration, ranges
from secateur_jobs.conversion.onnx_rewrites import Edit, Form
from secateur_jobs.conversion.onnx_weights import Kind, Weight, prepared, weights_in
from secateur_jobs.runtime.errors import InvalidInput

_COMPUTE = ("DynamicQuantizeLSTM", "MatMulInteger", "QuantizeLinear")
"""Operators that only a file with such layers has."""


def weights_of(path: Path, folder: Path, layers: Mapping[str, str] | None = None) -> list[Weight]:
    """Return the weights of an ONNX file, in the order of execution; ``why_not`` says which cannot be int8.

    ``layers`` are the file's parameters to the names of their layers (``Exported.layers``); ``folder`` is for
    a file in between. Raises InvalidInput: WEIGHTS_INVALID naming one that is not finite,
    CONVERSION_UNSUPPORTED if onnxruntime cannot load the file; OSError for a full disk.
    """
    return weights_in(prepared(path, folder), onnx.load(path), layers or {})


def forms(weights: Sequence[Weight], *, computed: bool = True, activations: bool = False) -> dict[str, Form]:
    """Return what to make of each weight: int8, apart from those that it would spoil, which stay float32.

    With ``computed`` what linear and recurrent layers take is uint8, by its range in each run; with
    ``activations`` what convolutions take is, by the range on samples. Else weights are only stored.
    """
    computes = {Kind.LINEAR: computed, Kind.RECURRENT: computed, Kind.CONV: activations}
    return {
        one.name: Form.INT8 if computes.get(one.kind, False) else Form.STORED_INT8
        for one in weights
        if not one.why_not
    }


def quantized(
    path: Path,
    folder: Path,
    chosen: Mapping[str, Form],
    samples: Sequence[Batch] = (),
    calibration: Calibration = Calibration.PERCENTILE,
) -> Path:
    """Write the model with the named weights in these forms into ``folder``; return the file's path.

    ``samples`` are batches of the model's inputs in its order, for convolutions in INT8. The same file and
    samples give the same bytes. Raises InvalidInput: WEIGHTS_INVALID naming a weight that has no such form,
    DATASET_INVALID for samples that tell no ranges, CONVERSION_UNSUPPORTED; OSError for a full disk.
    """
    proto = prepared(path, folder)
    weights = {one.name: one for one in weights_in(proto, onnx.load(path), {})}
    for name, form in chosen.items():
        _check(name, form, weights)
    edit = Edit(proto)
    given = [weights[name] for name, form in chosen.items() if form is Form.INT8]
    found = convolutions(edit, [one for one in given if one.kind is Kind.CONV])
    if found:
        values = dict.fromkeys(value for one in found for value in (one.taken, one.made))
        convolve(edit, found, ranges(proto, list(values), samples, calibration))
    convolved = {one.weight.name for one in found}
    for name, form in chosen.items():
        if name not in convolved:
            edit.rewrite(weights[name], form)
    edit.apply()
    output = folder / f"{path.stem}.int8.onnx"
    output.write_bytes(proto.SerializeToString(deterministic=True))
    return output


def computes_in_int8(path: Path) -> bool:
    """Whether any layer of a file computes in int8, and not all are only stored in it."""
    return any(node.op_type in _COMPUTE for node in onnx.load(path).graph.node)


def _check(name: str, form: Form, weights: Mapping[str, Weight]) -> None:
    if name not in weights:
        raise InvalidInput(
            Reason.WEIGHTS_INVALID, f"the model has no weight {name} that could be {form.value}"
        )
    weight = weights[name]
    why_not = weight.why_not_fp16 if form is Form.STORED_FP16 else weight.why_not
    if why_not:
        raise InvalidInput(
            Reason.WEIGHTS_INVALID, f"the weights of {weight.layer} cannot be {form.value}: {why_not}"
        )
