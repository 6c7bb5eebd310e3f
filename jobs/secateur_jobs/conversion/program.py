"""Small reads and edits of Paddle's exported program (``.pdmodel``, the protobuf of the old IR)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from secateur_jobs.paddle_env import paddle  # noqa: F401  (its flags must be set before the import below)

from paddle.base.proto import framework_pb2 as proto  # isort: skip

Program = Any
Block = Any
Op = Any
Var = Any


def parse(content: bytes) -> Program:
    """Return the program of a ``.pdmodel`` file."""
    program = proto.ProgramDesc()
    program.ParseFromString(content)
    return program


def attribute(op: Op, name: str) -> Any | None:
    """Return an attribute's message, or None."""
    return next((found for found in op.attrs if found.name == name), None)


def set_float(op: Op, name: str, value: float) -> None:
    """Add a float attribute unless it is there."""
    if attribute(op, name) is None:
        op.attrs.add(name=name, type=proto.FLOAT, f=value)


def arguments(slots: Iterable[Any], parameter: str) -> list[str]:
    """Return the variables of one slot of ``op.inputs`` or ``op.outputs``."""
    return [name for slot in slots if slot.parameter == parameter for name in slot.arguments]


def all_arguments(slots: Iterable[Any]) -> list[str]:
    """Return the variables of all slots."""
    return [name for slot in slots for name in slot.arguments]


def variable(block: Block, name: str) -> Var:
    """Return a variable of the block; raises KeyError."""
    for var in block.vars:
        if var.name == name:
            return var
    raise KeyError(name)


def shape(block: Block, name: str) -> list[int]:
    """Return a variable's shape."""
    return list(variable(block, name).type.dense_tensor.tensor.dims)


def add_output(block: Block, op: Op, parameter: str, like: str, dims: list[int]) -> None:
    """Give an op an output that it lacks: a new variable of another one's type, of the shape ``dims``."""
    if arguments(op.outputs, parameter):
        return
    new = block.vars.add()
    new.CopyFrom(variable(block, like))
    new.name = f"{all_arguments(op.outputs)[0]}.{parameter.lower()}"
    new.persistable = False
    del new.type.dense_tensor.tensor.dims[:]
    new.type.dense_tensor.tensor.dims.extend(dims)
    for slot in [slot for slot in op.outputs if slot.parameter == parameter]:
        op.outputs.remove(slot)
    op.outputs.add(parameter=parameter, arguments=[new.name])


def fed(program: Program) -> list[str]:
    """Return the names of the program's inputs, in feed order (not always the order of ``forward``)."""
    return _boundary(program, "feed", lambda op: arguments(op.outputs, "Out"))


def fetched(program: Program) -> list[str]:
    """Return the names of the program's outputs, in the order of ``forward``'s results."""
    return _boundary(program, "fetch", lambda op: arguments(op.inputs, "X"))


def _boundary(program: Program, kind: str, names: Any) -> list[str]:
    ops = [op for op in program.blocks[0].ops if op.type == kind]
    ops.sort(key=lambda op: attribute(op, "col").i)
    return [name for op in ops for name in names(op)]
