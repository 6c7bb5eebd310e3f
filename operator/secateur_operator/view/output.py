"""Write a PruningJob (table, YAML, JSON) and a store's units to stdout, over streams that survive a fault.

Stdout can be a terminal of any encoding, a pipe that ends early, a full disk, or closed. A line that cannot
be written never ends a job: the measurements are worth more than the output.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
from collections.abc import Sequence
from enum import Enum
from typing import Any

import yaml
from rich.console import Console

from secateur_api import PruningJob
from secateur_api.base import Contract
from secateur_api.quantity import show_bytes
from secateur_api.storekeeping import Cleared, Kept
from secateur_operator.view.summary import print_summary


class Lossy:
    """A text stream that remembers its first failure, and drops what is written after it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        """Write, if possible."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, if possible."""
        self._try(self._stream.flush)

    def take_loss(self) -> str:
        """Return once why output was lost; empty if none was, or if its reader stopped (``| head``)."""
        self.flush()
        error, self._error = self._error, None
        if error is None:
            return ""
        self._stream = open(os.devnull, "w")  # noqa: SIM115  (until the process ends)
        return "" if error.errno == errno.EPIPE else error.strerror or str(error)

    def _try(self, call: Any) -> None:
        if self._error is None:
            try:
                call()
            except OSError as error:
                self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def make_lossy() -> None:
    """Make stdout and stderr of this process :class:`Lossy`."""
    for number in (0, 1, 2):  # a closed one's number would go to the next file that is opened
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115
        if isinstance(stream, io.TextIOWrapper):  # what its encoding lacks is written as \\u....
            with contextlib.suppress(OSError):
                stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, Lossy(stream))


def take_loss() -> str:
    """Return once why output to stdout was lost; empty if none was."""
    return sys.stdout.take_loss() if isinstance(sys.stdout, Lossy) else ""


class Output(str, Enum):
    """How a resource is written to stdout."""

    TABLE = "table"
    YAML = "yaml"
    JSON = "json"


def print_job(job: PruningJob, output: Output) -> None:
    """Print a job."""
    if output is Output.TABLE:
        print_summary(Console(), job)
    else:
        print_wire(job, output)


def print_wire(document: Contract, output: Output) -> None:
    """Print what a program reads: YAML, or JSON."""
    wire = document.to_wire()
    sys.stdout.write(as_yaml(wire) if output is Output.YAML else json.dumps(wire, indent=2) + "\n")


def as_yaml(document: dict[str, Any]) -> str:
    """Return a document as YAML, with escapes for letters that stdout does not have."""
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=_has_all_letters(), width=110)
    return text


def _has_all_letters() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def print_kept(console: Console, units: Sequence[Kept], now: float) -> None:
    """Print a line for each unit, the damage of each below it, and a last line with the sums."""
    for one in units:
        days = (now - one.modified) / 86400
        stage = one.stage or "-"
        line = f"  {one.unit:44} {stage:12} {one.files:4d} files {show_bytes(one.bytes):>10} {days:6.1f} days"
        console.print(line, highlight=False, markup=False)
        if one.damage:
            console.print(f"    {one.damage}", style="red", highlight=False, markup=False)
    damaged = sum(bool(one.damage) for one in units)
    size = show_bytes(sum(one.bytes for one in units))
    console.print(f"  {len(units)} units, {size}; {damaged} damaged", highlight=False)


def print_cleared(console: Console, cleared: Sequence[Cleared], dry_run: bool) -> None:
    """Print a line for each unit or folder that is removed, and a last line with the sums."""
    for one in cleared:
        console.print(f"  {one.name:44} {one.files:4d} files {show_bytes(one.bytes):>10}", highlight=False)
    files, size = sum(one.files for one in cleared), show_bytes(sum(one.bytes for one in cleared))
    done = "would be removed" if dry_run else "removed"
    console.print(f"  {files} files, {size} {done}", highlight=False)
