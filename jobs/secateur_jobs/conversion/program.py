"""Small reads and edits of Paddle's exported program (``.pdmodel``, the protobuf of the old IR)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from secateur_jobs.paddle_env import paddle  # noqa: F401  (its flags must be set before the import below)

from paddle.base.proto import framework_pb2  # isort: skip  # noqa: TID251

proto: Any = framework_pb2
_ITEM_BYTES = {
    proto.VarType.BOOL: 1,
    proto.VarType.INT8: 1,
    proto.VarType.UINT8: 1,
    proto.VarType.FP16: 2,
    proto.VarType.BF16: 2,
    proto.VarType.INT16: 2,
    proto.VarType.INT32: 4,
    proto.VarType.FP32: 4,
    proto.VarType.INT64: 8,
    proto.VarType.FP64: 8,
}
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


def present(op: Op, name: str) -> Any:
    """Return the message of an attribute that every such operator has; raises KeyError."""
    found = attribute(op, name)
    if found is None:
        raise KeyError(f"operator {op.type} has no attribute {name}")
    return found


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
    if not arguments(op.outputs, parameter):
        _fill_slot(op.outputs, parameter, new_variable(block, op, parameter, like, dims))


def add_input(block: Block, op: Op, parameter: str, like: str, dims: list[int]) -> str | None:
    """Give an op an input that it lacks, as :func:`add_output`; return its name, None if none was lacking."""
    if arguments(op.inputs, parameter):
        return None
    name = new_variable(block, op, parameter, like, dims)
    _fill_slot(op.inputs, parameter, name)
    return name


def set_input(op: Op, parameter: str, name: str) -> None:
    """Let a variable be the one of an op's input."""
    _fill_slot(op.inputs, parameter, name)


def new_variable(block: Block, op: Op, parameter: str, like: str, dims: list[int]) -> str:
    """Add a variable of another one's type, named by the op's first output and by what it is to the op."""
    new = block.vars.add()
    new.CopyFrom(variable(block, like))
    new.name = f"{all_arguments(op.outputs)[0]}.{parameter.lower()}"
    new.persistable = False
    del new.type.dense_tensor.tensor.dims[:]
    new.type.dense_tensor.tensor.dims.extend(dims)
    return str(new.name)


def _fill_slot(slots: Any, parameter: str, name: str) -> None:
    for slot in [slot for slot in slots if slot.parameter == parameter]:
        slots.remove(slot)
    slots.add(parameter=parameter, arguments=[name])


def stored_bytes(program: Program) -> int:
    """Return how many bytes the program's parameters have."""
    total = 0
    for var in program.blocks[0].vars:
        if var.persistable and var.type.type == proto.VarType.DENSE_TENSOR:
            tensor = var.type.dense_tensor.tensor
            total += math.prod(tensor.dims) * _ITEM_BYTES[tensor.data_type]
    return total


def fetched(program: Program) -> list[str]:
    """Return the names of the program's outputs, in the order of ``forward``'s results."""
    ops = [op for op in program.blocks[0].ops if op.type == "fetch"]
    ops.sort(key=lambda op: present(op, "col").i)
    return [name for op in ops for name in arguments(op.inputs, "X")]
