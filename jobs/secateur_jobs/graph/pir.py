"""``python -m secateur_jobs.graph.pir MODEL FOLDER SHAPES``: read an exported model, and run it.

A process of its own: it needs Paddle's static mode and a flag that is read when Paddle is imported. A
``.pdmodel`` is translated to PIR, the form that a ``.json`` has already, so that one reader serves both. It
leaves :mod:`secateur_jobs.graph.program`'s files in FOLDER, and what the model answers to random inputs of
SHAPES (:data:`~secateur_jobs.graph.examples.Shapes` as JSON): files of :mod:`secateur_jobs.graph.examples`,
of run 0 and, with another batch where the model leaves it open, of run 1.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

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
from secateur_jobs.graph.program import Feed, Operation, Program

_UNUSED = {
    "op_callstack",
    "stop_gradient",
    "op_namescope",
    "op_role",
    "struct_name",
    "persistable",
    "place",
    "is_distributed",
    "trainable",
}
_NO_PROGRAM = ("ParseFromString", "Invalid model file", "json.exception")
_OTHER_WEIGHTS = ("load_combine", "LoadCombine", "DeserializeFromStream")
"""Words of Paddle's own errors."""
_OTHER_EXPORT = "take both files of one export"


def main(model: Path, folder: Path, given: Shapes) -> None:
    """Read ``model`` (``.pdmodel`` or ``.json``, its ``.pdiparams`` beside it) into ``folder``, and run it.

    Raises NotReadable.
    """
    is_pir = model.suffix == ".json"
    os.environ["FLAGS_enable_pir_api"] = "1" if is_pir else "0"  # noqa: SIM112  (Paddle's name)
    from secateur_jobs.paddle_env import paddle

    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    scope = paddle.static.Scope()
    with paddle.static.scope_guard(scope):
        program, names, fetches = _loaded(paddle, model, executor)
        pir = program if is_pir else paddle.pir.translate_to_pir(program.desc)
        plain = plain_program(pir, list(names), lambda name: np.array(scope.find_var(name).get_tensor()))
        plain.write(folder)
        shapes = shapes_of(plain.feeds, given)
        for run, batch in enumerate(batches(plain.feeds, shapes)):
            inputs = examples(plain.feeds, shapes, batch)
            answers = executor.run(program, feed=inputs, fetch_list=fetches)
            outputs = {str(index): np.ascontiguousarray(answer) for index, answer in enumerate(answers)}
            safetensors.numpy.save_file(inputs, inputs_file(folder, run))
            safetensors.numpy.save_file(outputs, outputs_file(folder, run))


def _loaded(paddle: Any, model: Path, executor: Any) -> Any:
    """Return the program, the names of its inputs, and its outputs; the weights are in the scope."""
    try:
        return paddle.static.load_inference_model(str(model.with_suffix("")), executor)
    except (ValueError, RuntimeError, OSError) as error:
        if any(word in str(error) for word in _NO_PROGRAM):
            raise NotReadable(f"{model.name} is no whole program of Paddle; copy it anew") from error
        if any(word in str(error) for word in _OTHER_WEIGHTS):
            said = f"{model.stem}.pdiparams has not the weights of this program"
            raise NotReadable(f"{said}; {_OTHER_EXPORT}") from error
        raise


def plain_program(pir: Any, feeds: list[str], array_of: Callable[[str], np.ndarray]) -> Program:
    """Return a PIR program as plain data; ``feeds`` are its inputs in order, ``array_of`` its parameters.

    Raises NotReadable.
    """
    numbers: dict[int, int] = {}

    def number(value: Any) -> int | None:
        return numbers.setdefault(value.id, len(numbers)) if value.initialized() else None

    operations, found_feeds, fetched, names, parameters = [], [], [], {}, {}
    for op in pir.global_block().ops:
        attributes = _attributes(op)
        operation = Operation(
            name=op.name().removeprefix("pd_op."),
            attributes=attributes,
            inputs=[number(operand.source()) for operand in op.operands()],
            outputs=[number(result) for result in op.results()],
            shapes=[_shape(result) for result in op.results()],
        )
        if any(True for _ in op.blocks()):
            raise NotReadable(f"operator {operation.name} holds a program of its own (a branch or a loop)")
        if operation.name == "builtin.parameter":
            name = attributes["parameter_name"]
            names[_value(operation, operation.outputs)] = name
            parameters[name] = array_of(name)
            if list(parameters[name].shape) != operation.shapes[0]:  # read without a word, of a .json
                shapes = f"{list(parameters[name].shape)}, and {operation.shapes[0]} in the program"
                raise NotReadable(f"weight {name} is {shapes}; {_OTHER_EXPORT}")
        elif operation.name in ("feed", "data"):
            found_feeds.append(_feed(op, operation))
        elif operation.name == "fetch":
            fetched.append(_value(operation, operation.inputs))
        else:
            operations.append(operation)
    ordered = sorted(found_feeds, key=lambda feed: feeds.index(feed.name))
    return Program(ordered, operations, fetched, names, parameters)


def _feed(op: Any, operation: Operation) -> Feed:
    dtype = str(op.results()[0].dtype).rsplit(".", 1)[-1].lower()
    value = _value(operation, operation.outputs)
    return Feed(value, operation.attributes["name"], operation.shapes[0] or [], dtype)


def _value(operation: Operation, values: Sequence[int | None]) -> int:
    """Return the first of an operation's inputs or outputs; raises NotReadable where there is none."""
    if not values or values[0] is None:
        raise NotReadable(f"operator {operation.name} has no value; export the model again")
    return values[0]


def _attributes(op: Any) -> dict[str, Any]:
    found = {name: value for name, value in op.attrs().items() if name not in _UNUSED}
    return {n: v if isinstance(v, (int, float, bool, str, list)) else str(v) for n, v in found.items()}


def _shape(result: Any) -> list[int] | None:
    return list(result.shape) if result.initialized() and result.is_dense_tensor_type() else None


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
    except NotReadable as error:
        print(error, file=sys.stderr)  # noqa: T201  (the last line of the log is the message)
        sys.exit(65)
