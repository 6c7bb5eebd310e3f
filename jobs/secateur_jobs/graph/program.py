"""A program as plain data: operations on numbered values, and the parameters among them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

PROGRAM_FILE = "program.json"
PARAMETERS_FILE = "parameters.safetensors"


@dataclass(frozen=True)
class Operation:
    """One operator; values are numbers, None for an optional one that is not there."""

    name: str
    """As in Paddle, without its dialect: ``conv2d``, ``combine``."""
    attributes: dict[str, Any]
    inputs: list[int | None]
    outputs: list[int | None]
    shapes: list[list[int] | None]
    """Of the outputs, -1 where it is open; None for a list of values."""
    place: str = ""
    """Where it stands in a file whose operators have other names."""


@dataclass(frozen=True)
class Feed:
    """One input of the program."""

    value: int
    name: str
    shape: list[int]
    """-1 where it is open."""
    dtype: str


@dataclass(frozen=True)
class Program:
    """Operations in the order of their execution."""

    feeds: list[Feed]
    operations: list[Operation]
    fetched: list[int]
    names: dict[int, str]
    """Value of a parameter to its name in the files."""
    parameters: Mapping[str, np.ndarray]

    @cached_property
    def users(self) -> dict[int, list[int]]:
        """Value to the indices of the operations that take it."""
        found: dict[int, list[int]] = {}
        for index, operation in enumerate(self.operations):
            for value in operation.inputs:
                if value is not None:
                    found.setdefault(value, []).append(index)
        return found

    @cached_property
    def makers(self) -> dict[int, Operation]:
        """Value to the operation that makes it."""
        return {v: operation for operation in self.operations for v in operation.outputs if v is not None}

    def parameter(self, value: int | None) -> np.ndarray | None:
        """Return the array of a parameter; None for any other value."""
        name = self.names.get(value) if value is not None else None
        return None if name is None else self.parameters[name]

    def write(self, folder: Path) -> None:
        """Write the program into a folder, for :func:`read`."""
        (folder / PROGRAM_FILE).write_text(json.dumps(self.to_plain()))
        safetensors.numpy.save_file(dict(self.parameters), folder / PARAMETERS_FILE)

    def to_plain(self) -> dict[str, Any]:
        """Return all but the parameters as JSON, for :func:`from_plain`."""
        return {
            "feeds": [asdict(feed) for feed in self.feeds],
            "operations": [asdict(operation) for operation in self.operations],
            "fetched": self.fetched,
            "names": self.names,
        }


def read(folder: Path) -> Program:
    """Return the program that :meth:`Program.write` left in a folder."""
    plain = json.loads((folder / PROGRAM_FILE).read_text())
    return from_plain(plain, safetensors.numpy.load_file(folder / PARAMETERS_FILE))


def from_plain(plain: dict[str, Any], parameters: Mapping[str, np.ndarray]) -> Program:
    """Return the program that :meth:`Program.to_plain` was called of, with these parameters."""
    return Program(
        feeds=[Feed(**feed) for feed in plain["feeds"]],
        operations=[Operation(**operation) for operation in plain["operations"]],
        fetched=plain["fetched"],
        names={int(value): name for value, name in plain["names"].items()},
        parameters=parameters,
    )
