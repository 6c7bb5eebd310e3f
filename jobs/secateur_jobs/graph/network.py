"""The network that a program is: its layers, and the steps between them."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from secateur_jobs.graph.layers import Built, build
from secateur_jobs.graph.program import Operation, Program
from secateur_jobs.graph.replay import Replay
from secateur_jobs.graph.steps import Step
from secateur_jobs.graph.values import Value
from secateur_jobs.graph.widths import Factors
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup


class UnknownOperator(ValueError):
    """The program has an operator that cannot be rebuilt; the message names it and its place."""


class GraphNetwork(paddle.nn.Layer):
    """An exported model with layers that train and can be cut; ``forward`` takes the program's inputs."""

    files_sha256 = ""
    """Of the program's bytes and then its weights', where it was read from ``spec.model.exported``."""

    files_bytes = 0

    replay: Replay | None = None
    """While it is set, steps whose inputs are those of its first run are not computed again."""

    def __init__(self, program: Program, example: Sequence[np.ndarray]) -> None:
        """``example`` are inputs of the shapes that the program's constants were made for.

        Raises UnknownOperator.
        """
        super().__init__()
        self.feeds = program.feeds
        self._feeds = [feed.value for feed in program.feeds]
        self._fetched = program.fetched
        self._constants: dict[int, Value] = {}
        self._own: dict[int, str] = {}
        """Value of a parameter that no layer has to the attribute that holds it."""
        self._calls: list[tuple[str | Step, list[int | None], list[int | None]]] = []
        """Name of a layer, or a step; the values that go in, and those that come out."""
        self._last: dict[int | None, int] = {}
        """Value to the last call that takes it."""
        self._splits: list[Factors] = []
        self._add_calls(program)
        self._drop_unused()
        self.eval()
        self._learn(example)
        self._fold()
        self._last = {value: at for at, (_, inputs, _) in enumerate(self._calls) for value in inputs}
        self._splits = [split for call, _, _ in self._calls for split in _splits_of(call)]
        free = np.array([split.free for split in self._splits], np.int64)
        self.register_buffer("free_axes", paddle.to_tensor(free))
        self.description = self._described(program, example)

    def _described(self, program: Program, example: Sequence[np.ndarray]) -> dict[str, Any]:
        """Say as JSON what it was built of; see :mod:`secateur_jobs.graph.recipe`."""
        owned = {program.names[value]: name for value, name in self._own.items() if value in program.names}
        return {
            "program": program.to_plain(),
            "parameters": {name: _kind(array) for name, array in program.parameters.items()},
            "held": {name: own for name, own in owned.items() if not _is_weight(program.parameters[name])},
            "inputs": [_kind(array) for array in example],
        }

    def follow(self, groups: Sequence[ChannelGroup]) -> None:
        """Let each width that is split into constants (3 x heads x width of a head) be cut as groups lie.

        Which factor follows is a hypothesis: heads or their width, by the channels that were found. The proof
        decides whether it holds. It is kept in the buffer ``free_axes``, and so in every checkpoint.
        """
        for split in self._splits:
            votes = Counter(axis for g in groups for s in g.slices for axis in split.follows(s.owner))
            if votes:
                split.free = votes.most_common(1)[0][0]
        self.free_axes.set_value(np.array([split.free for split in self._splits], np.int64))

    def _recall_axes(self) -> None:
        """Take the free axes from the buffer, which a checkpoint may have filled; not while it is traced."""
        if paddle.in_dynamic_mode() and self._splits:
            for split, axis in zip(self._splits, self.free_axes.numpy().tolist(), strict=True):
                split.free = int(axis)

    @paddle.jit.not_to_static  # type: ignore[untyped-decorator]  # Paddle has no types
    def forward(self, *inputs: paddle.Tensor) -> Any:
        """Return the program's result; a tuple where it has several."""
        self._recall_axes()
        values: dict[int, Value] = dict(zip(self._feeds, inputs, strict=True))
        for at, (_, taken, _) in enumerate(self._calls):
            self._run(at, values)
            for value in taken:  # what nobody takes again must not fill the memory
                if self._last.get(value) == at and value in values and value not in self._fetched:
                    del values[value]
        answers = tuple(values[value] for value in self._fetched)
        return answers[0] if len(answers) == 1 else answers

    def _run(self, at: int, values: dict[int, Value]) -> None:
        call, taken, made = self._calls[at]
        arguments = [None if value is None else self._value(value, values) for value in taken]
        if isinstance(call, str):
            results: Value = (_inside(self, call)(*arguments),)
        else:
            results = call(arguments) if self.replay is None else self.replay.run(at, call, arguments)
            results = results if isinstance(results, tuple) else (results,)
        values.update({v: r for v, r in zip(made, results, strict=False) if v is not None})

    def _learn(self, example: Sequence[np.ndarray]) -> None:
        """Run once, so that the steps see the widths that their constants were made for."""
        tensors = [paddle.to_tensor(array) for array in example]
        values: dict[int, Value] = dict(zip(self._feeds, tensors, strict=True))
        with paddle.no_grad():
            for at, (call, _, _) in enumerate(self._calls):
                try:
                    self._run(at, values)
                except Exception as error:
                    what = call if isinstance(call, str) else f"operator {call.operation.name}"
                    if isinstance(call, Step) and call.operation.place:
                        what = f"{what} ({call.operation.place})"
                    lines = str(error).strip().splitlines()
                    raise UnknownOperator(
                        f"{what} cannot be rebuilt: {type(error).__name__}: {lines[-1] if lines else ''}"
                    ) from error

    def _value(self, value: int, values: dict[int, Value]) -> Value:
        if value in values:
            return values[value]
        return _inside(self, self._own[value]) if value in self._own else self._constants[value]

    def _add_calls(self, program: Program) -> None:
        built = {id(operation): build(program, operation) for operation in program.operations}
        names: dict[str, str] = {}
        done = {id(one) for layer in built.values() if layer is not None for one in layer.absorbed}
        for operation in program.operations:
            layer = built[id(operation)]
            if layer is not None:
                key = _identity(program, operation, layer)
                name = names.get(key) or self._add_layer(layer.weight or operation.name, layer.layer)
                if layer.weight:
                    names[key] = name
                self._calls.append((name, [layer.input], [layer.output]))
                if layer.is_first_of_several:
                    self._calls.append((_FIRST, [layer.output], [layer.output]))
            elif id(operation) not in done:
                self._add_step(program, operation)

    def _drop_unused(self) -> None:
        """Leave out what is computed for nothing, such as the states that a recurrent layer starts from."""
        needed: set[int | None] = set(self._fetched)
        kept = []
        for call, taken, made in reversed(self._calls):
            if needed.intersection(made) - {None}:
                needed.update(taken)
                kept.append((call, taken, made))
        self._calls = kept[::-1]

    def _add_layer(self, wanted: str, layer: paddle.nn.Layer) -> str:
        name = self._free_name(re.sub(r"(\.w_0|\.weight|_weights?)$", "", wanted))
        self.add_sublayer(name, layer)
        return name

    def _add_step(self, program: Program, operation: Operation) -> None:
        step = Step(operation, _constant_axes(program, operation))
        if not step.is_known:
            where = next((f"it makes {shape}" for shape in operation.shapes if shape), "")
            where = operation.place or where
            raise UnknownOperator(f"operator {operation.name}{where and f' ({where})'} cannot be rebuilt")
        for value in operation.inputs:
            if value is not None and value in program.names and value not in self._own:
                self._own[value] = self._add_parameter(program.names[value], program.parameter(value))
        self._calls.append((step, operation.inputs, operation.outputs))

    def _add_parameter(self, wanted: str, array: np.ndarray | None) -> str:
        if array is None:
            raise ValueError(f"{wanted} has no values")
        name = self._free_name(wanted)
        if _is_weight(array):
            initial = paddle.nn.initializer.Assign(array)
            self.add_parameter(name, self.create_parameter(array.shape, default_initializer=initial))
        else:
            self.register_buffer(name, paddle.to_tensor(array))
        return name

    def _free_name(self, wanted: str) -> str:
        """Return an attribute's name that is not taken: names in the files have dots, and may come twice."""
        base = name = re.sub(r"\W", "_", wanted)
        count = 1
        while hasattr(self, name):
            count += 1
            name = f"{base}_{count}"
        return name

    def _fold(self) -> None:
        """Compute once what depends on constants alone."""
        kept = []
        with paddle.no_grad():
            for call, taken, made in self._calls:
                known = {value for value in taken if value is not None} <= self._constants.keys()
                if isinstance(call, str) or not known:
                    kept.append((call, taken, made))
                    continue
                results = call([None if value is None else self._constants[value] for value in taken])
                results = results if isinstance(results, tuple) else (results,)
                self._constants |= {v: r for v, r in zip(made, results, strict=False) if v is not None}
        self._calls = kept
        for value, constant in self._constants.items():
            if isinstance(constant, paddle.Tensor):
                self._own[value] = self._free_name(f"constant_{value}")
                self.register_buffer(self._own[value], constant, persistable=False)


def _is_weight(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and array.size > 1


def _kind(array: np.ndarray) -> list[Any]:
    """Return type and shape."""
    return [array.dtype.name, list(array.shape)]


def _inside(layer: paddle.nn.Layer, path: str) -> Any:
    """Return what lies at a structured name."""
    return functools.reduce(getattr, path.split("."), layer)


_FIRST = Step(Operation("builtin.slice", {"index": 0}, [], [], []))


def _splits_of(call: str | Step) -> list[Factors]:
    reshape = None if isinstance(call, str) else call.reshape
    return [] if reshape is None else [factors for factors in reshape.factors if factors.is_split]


def _identity(program: Program, operation: Operation, built: Built) -> str:
    """Return what operations have in common that one layer does: its kind, its settings, its parameters."""
    own = [value for one in (operation, *built.absorbed) for value in one.inputs if value in program.names]
    return json.dumps([operation.name, operation.attributes, own])


def _constant_axes(program: Program, operation: Operation) -> list[bool]:
    """Return of a reshape's target which axes are constants of the program; empty: all, or no reshape."""
    if operation.name != "reshape" or operation.inputs[1] is None:
        return []
    source = program.makers.get(operation.inputs[1])
    while source is not None and source.name in ("stack", "concat") and source.inputs[0] is not None:
        source = program.makers.get(source.inputs[0])
    if source is None or source.name == "full_int_array":
        return []
    if source.name != "builtin.combine":
        return [False] * len(operation.shapes[0] or [])
    makers = [program.makers.get(value) if value is not None else None for value in source.inputs]
    return [maker is not None and maker.name in ("full", "full_int_array") for maker in makers]
