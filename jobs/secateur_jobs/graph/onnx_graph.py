"""A program that is made operator by operator from an ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateur_jobs.graph.examples import NotReadable
from secateur_jobs.graph.onnx_model import Kind, Node, OnnxModel, Run
from secateur_jobs.graph.program import Feed, Operation, Program

LARGEST = 2**31 - 1
"""Paddle's word for the end of an axis, however long."""


@dataclass(frozen=True)
class Batches:
    """A length that is a multiple of the batch."""

    factor: int


Length = int | Batches


class Graph:
    """Operations of the kinds that :mod:`secateur_jobs.graph.steps` and ``layers`` know, as they are made."""

    def __init__(self, model: OnnxModel, feeds: Sequence[Feed], runs: Sequence[Run]) -> None:
        """``runs``: one, or two at different batches."""
        self.opset, self._kinds, self._feeds, self._runs = model.opset, model.kinds, list(feeds), runs
        self._used = {name for node in model.nodes for name in node.inputs} | set(model.outputs)
        self._values: dict[str, int] = {feed.name: feed.value for feed in feeds}
        self._operations: list[Operation] = []
        self._names: dict[int, str] = {}
        self._parameters: dict[str, np.ndarray] = {}
        self._stored: dict[tuple[str, tuple[int, ...]], int] = {}
        self._count = len(feeds)
        self._batch: int | None = None
        self.node: Node | None = None
        """The one that operations are made for."""

    def program(self, outputs: Sequence[str]) -> Program:
        """Return all that was made."""
        fetched = [self.tensor(name) for name in outputs]
        return Program(self._feeds, self._operations, fetched, self._names, self._parameters)

    def bind(self, node: Node, values: Sequence[int]) -> None:
        """Say which values a node's outputs are."""
        self._values.update(zip((name for name in node.outputs), values, strict=False))

    # ---- what the file says ----

    def refusal(self, why: str) -> NotReadable:
        """Return the error for the node at work."""
        return self.node.refusal(why) if self.node is not None else NotReadable(why)

    def is_used(self, name: str) -> bool:
        """Whether anything takes a value."""
        return bool(name) and name in self._used

    def flows(self, name: str) -> bool:
        """Whether a value flows."""
        return self._kinds.get(name, Kind.FLOWS) is Kind.FLOWS

    def shape(self, name: str) -> list[int]:
        """Return a value's shape, -1 where it follows the batch; raises NotReadable where it is not known."""
        found = [run.shapes[name] for run in self._runs if name in run.shapes]
        if len(found) < len(self._runs):
            raise self.refusal(f"cannot be rebuilt: the shape of {name} depends on the data")
        return [axis[0] if len(set(axis)) == 1 else -1 for axis in zip(*found, strict=True)]

    def length(self, name: str, axis: int) -> int:
        """Return the length of an axis; raises NotReadable where it follows the batch."""
        found = self.shape(name)[axis]
        if found < 0:
            raise self.refusal("cannot be rebuilt along the batch")
        return found

    def array(self, name: str) -> np.ndarray | None:
        """Return a value that is the same in all runs; None for any other."""
        found = [run.values.get(name) for run in self._runs]
        first = found[0]
        if first is None or any(one is None or not np.array_equal(first, one, True) for one in found):
            return None
        return first

    def numbers(self, name: str, what: str) -> list[int]:
        """Return whole numbers that the file has as constants; raises NotReadable for others."""
        lengths = self.lengths(name, what)
        if any(isinstance(one, Batches) for one in lengths):
            raise self.refusal(f"cannot be rebuilt: its {what} follows the batch")
        return [one for one in lengths if isinstance(one, int)]

    def lengths(self, name: str, what: str) -> list[Length]:
        """Return whole numbers, and multiples of the batch among them; raises NotReadable for others."""
        found = [run.values.get(name) for run in self._runs]
        if any(one is None for one in found):
            raise self.refusal(f"cannot be rebuilt: its {what} depends on the data")
        batches = [run.shapes[self._feeds[0].name][0] for run in self._runs]
        lengths: list[Length] = []
        for column in zip(*(np.ravel(one).tolist() for one in found if one is not None), strict=True):
            factor, left = divmod(int(column[0]), batches[0])
            if len(set(column)) == 1:
                lengths.append(int(column[0]))
            elif left == 0 and all(one == factor * batch for one, batch in zip(column, batches, strict=True)):
                lengths.append(Batches(factor))
            else:
                raise self.refusal(f"cannot be rebuilt: its {what} is no multiple of the batch")
        return lengths

    # ---- what is made ----

    def make(self, operator: str, inputs: Sequence[int | None] = (), shape: Any = None, **given: Any) -> int:
        """Add an operation with one result, and return that; ``given`` are its attributes."""
        return self.make_all(operator, inputs, [shape], given)[0]

    def make_all(
        self, operator: str, inputs: Sequence[int | None], shapes: Sequence[Any], given: dict[str, Any]
    ) -> list[int]:
        """Add an operation, and return its results."""
        made = [self._new() for _ in shapes]
        place = f"ONNX operator {self.node.operator}, {self.node.place}" if self.node is not None else ""
        whole = [None if shape is None else list(shape) for shape in shapes]
        self._operations.append(Operation(operator, given, list(inputs), list(made), whole, place))
        return made

    def number(self, value: float) -> int:
        """Add a number."""
        return self._filled([1], np.int64(value) if isinstance(value, int) else np.float32(value))

    def whole(self, lengths: Sequence[Length]) -> int:
        """Add a list of whole numbers: a shape, axes, a window."""
        plain = [one for one in lengths if isinstance(one, int)]
        if len(plain) == len(lengths):
            return self.make("full_int_array", value=plain, shape=None)
        parts = [self.number(one) if isinstance(one, int) else self._batches(one.factor) for one in lengths]
        return self.make("builtin.combine", parts)

    def tensor(self, name: str) -> int:
        """Return a value of the file: what flows, a parameter, or a constant."""
        if name not in self._values:
            array = self.array(name)
            if self._kinds.get(name) is Kind.PARAMETER and array is not None:
                self._values[name] = self.parameter(array, name)
            else:
                self._values[name] = self._expanded(name) if array is None else self._literal(array, name)
        return self._values[name]

    def operand(self, name: str, rank: int) -> int:
        """Return one side of an arithmetic operation with a tensor of ``rank``; a number where it is one."""
        array = None if self.flows(name) else self.array(name)
        if array is None or array.size != 1 or array.ndim > rank:
            return self.tensor(name)
        return self.number(array.reshape(-1)[0].item())

    def parameter(self, array: np.ndarray, name: str) -> int:
        """Return the parameter of that name in the file: one, however many operators take it."""
        if array.dtype.kind == "f" and array.dtype != np.float32:
            raise self.refusal(f"takes {name} of {array.dtype}; export the model in float32")
        found = self._stored.get((name, array.shape))
        if found is not None and np.array_equal(self._parameters[self._names[found]], array):
            return found
        unique, count = name, 1
        while unique in self._parameters:
            count += 1
            unique = f"{name}.{count}"
        value = self._stored[name, array.shape] = self._new()
        self._names[value], self._parameters[unique] = unique, np.array(array, order="C")
        return value

    def vector(self, name: str) -> int:
        """Return the parameter of one number per channel that a value of more axes is."""
        array = self.array(name)
        if array is None:
            raise self.refusal("cannot be rebuilt: its weights depend on the data")
        return self.parameter(array.reshape(-1), name)

    def begins_at_zero(self, name: str) -> bool:
        """Whether a value is zero in all runs, of whatever shape."""
        return not any(one is None or one.any() for one in (run.values.get(name) for run in self._runs))

    def _new(self) -> int:
        self._count += 1
        return self._count - 1

    def _literal(self, array: np.ndarray, name: str) -> int:
        if array.size <= 1:
            return self.parameter(array, name)
        flat = array.reshape(-1)
        if (flat == flat[0]).all() and array.dtype.kind in "fiu":
            return self._filled(array.shape, flat[0])
        given = {"values": flat.tolist(), "shape": list(array.shape), "dtype": str(array.dtype)}
        return self.make_all("assign_value", [], [array.shape], given)[0]

    def _filled(self, shape: Sequence[int], value: np.generic) -> int:
        given = {"shape": list(shape), "value": value.item(), "dtype": str(value.dtype)}
        return self.make_all("full", [], [shape], given)[0]

    def _batches(self, factor: int) -> int:
        """Add the batch of the first input, times a factor."""
        first = self._feeds[0]
        lengths = self.make("shape", [first.value])
        start, end = self.whole([0]), self.whole([1])
        batch = self.make("slice", [lengths, start, end], axes=[0], decrease_axis=[0])
        scale = {"bias": 0, "bias_after_scale": True}
        return batch if factor == 1 else self.make("scale", [batch, self.number(factor)], **scale)

    def _expanded(self, name: str) -> int:
        """Add a value whose shape follows the batch, and its content does not."""
        found = [run.values[name] for run in self._runs]
        axes = [
            axis for axis, one in enumerate(zip(*(f.shape for f in found), strict=True)) if len(set(one)) > 1
        ]
        base = found[0].take([0], axes[0]) if len(axes) == 1 else None
        if base is None or not all(np.array_equal(np.broadcast_to(base, one.shape), one) for one in found):
            raise self.refusal(f"cannot be rebuilt: the numbers in {name} follow the batch")
        batches = [run.shapes[self._feeds[0].name][0] for run in self._runs]
        factor, left = divmod(found[0].shape[axes[0]], batches[0])
        if left or found[1].shape[axes[0]] != factor * batches[1]:
            raise self.refusal(f"cannot be rebuilt: {name} is no multiple of the batch")
        target: list[Length] = list(base.shape)
        target[axes[0]] = Batches(factor)
        return self.make("expand", [self._literal(base, name), self.whole(target)])
