"""How a command refuses: one line for each thing that is wrong, on stderr, and exit code 2."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from secateur_operator import extras

EXIT_WRONG = 2


def wrong(*lines: str) -> NoReturn:
    """Say what is wrong and end the command."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    raise typer.Exit(EXIT_WRONG)


def need(extra: str, command: str) -> None:
    """End the command where an extra is not installed, with the command that brings it."""
    lacking = extras.missing(extra, command)
    if lacking is not None:
        wrong(lacking)
