"""``python -m secateur_jobs.graph.onnx_reader FILE FOLDER SHAPES``: read an ONNX file, and run it.

A process of its own, as :mod:`secateur_jobs.graph.pir` is, which leaves the same files in FOLDER. The file
runs in onnxruntime. What it computes from shapes is a number here, made for SHAPES; a multiple of the batch
follows it where the file leaves the batch open and runs at two of them.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy

from secateur_jobs.graph.examples import (
    NotReadable,
    Shapes,
    batches,
    examples,
    inputs_file,
    outputs_file,
    shapes_of,
)
from secateur_jobs.graph.onnx_arithmetic import ARITHMETIC
from secateur_jobs.graph.onnx_axes import AXES
from secateur_jobs.graph.onnx_graph import Graph
from secateur_jobs.graph.onnx_layers import LAYERS
from secateur_jobs.graph.onnx_model import Node, OnnxModel, Run, load
from secateur_jobs.graph.onnx_patterns import put_together
from secateur_jobs.graph.program import Feed

OPERATORS = ARITHMETIC | AXES | LAYERS
_QUANTISED = ("QLinear", "QuantizeLinear", "DequantizeLinear", "DynamicQuantize", "Integer")
_OF_DATA = ("NonZero", "Unique", "Compress", "NonMaxSuppression")


def main(file: Path, folder: Path, given: Shapes) -> None:
    """Read ``file`` into ``folder``, and run it; raises NotReadable."""
    model = load(file)
    for node in model.nodes:
        _check(node)
    for node in model.flowing:
        _check_precision(node, model)
    shapes = shapes_of(model.feeds, given)
    feeds, runs = _runs(model, shapes)
    graph = Graph(model, feeds, [run for _, run in runs])
    ranks = {name: len(shape) for name, shape in runs[0][1].shapes.items()}
    for node in put_together(model.flowing, runs[0][1].values, ranks, model.outputs):
        graph.node = node
        if node.operator not in OPERATORS:
            raise node.refusal("cannot be rebuilt")
        graph.bind(node, OPERATORS[node.operator](graph, node))
    graph.program(model.outputs).write(folder)
    for index, (inputs, run) in enumerate(runs):
        outputs = {str(place): np.ascontiguousarray(one) for place, one in enumerate(run.outputs)}
        safetensors.numpy.save_file(inputs, inputs_file(folder, index))
        safetensors.numpy.save_file(outputs, outputs_file(folder, index))


def _check(node: Node) -> None:
    """Refuse what no table of operators can help with."""
    if node.has_graph:
        raise node.refusal("holds a graph of its own (a branch or a loop), which cannot be rebuilt")
    if any(word in node.operator for word in _QUANTISED):
        raise node.refusal("is quantised; give the model in float32")
    if "." in node.operator:
        raise node.refusal("is of a custom domain, which cannot be rebuilt")
    if node.operator in _OF_DATA:
        raise node.refusal("makes a shape that depends on the data, which cannot be rebuilt")
    if node.operator.startswith(("Random", "Bernoulli", "Multinomial")):
        raise node.refusal("answers otherwise each time, which cannot be rebuilt")


def _check_precision(node: Node, model: OnnxModel) -> None:
    for name in node.inputs:
        if name in model.arrays and model.arrays[name].dtype in (np.float16, np.float64):
            raise node.refusal(f"takes {name} of {model.arrays[name].dtype}; give the model in float32")


def _runs(
    model: OnnxModel, shapes: Sequence[Sequence[int]]
) -> tuple[list[Feed], list[tuple[dict[str, np.ndarray], Run]]]:
    """Run the file at each batch; at the declared one alone where it does not run at others."""
    tried = batches(model.feeds, shapes)
    try:
        found = [examples(model.feeds, shapes, batch, model.ids) for batch in tried]
        return model.feeds, [(inputs, model.run(inputs)) for inputs in found]
    except NotReadable:
        if len(tried) == 1:
            raise
    inputs = examples(model.feeds, shapes, None, model.ids)
    fixed = [
        dataclasses.replace(feed, shape=[shape[0], *feed.shape[1:]])
        for feed, shape in zip(model.feeds, shapes, strict=True)
    ]
    return fixed, [(inputs, model.run(inputs))]


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
    except NotReadable as error:
        print(error, file=sys.stderr)  # noqa: T201  (the last line of the log is the message)
        sys.exit(65)
