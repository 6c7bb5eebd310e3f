"""What a command says on stderr; how it refuses: one line for each thing that is wrong, and exit code 2."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from secateur_operator import extras

EXIT_WRONG = 2
EXIT_INTERRUPTED = 130


def wrong(*lines: str) -> NoReturn:
    """Say what is wrong and end the command."""
    for line in lines:
        say(line)
    raise typer.Exit(EXIT_WRONG)


def say(line: str) -> None:
    """Say something beside what a command prints."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def need(extra: str, command: str) -> None:
    """End the command where an extra is not installed, with the command that brings it."""
    lacking = extras.missing(extra, command)
    if lacking is not None:
        wrong(lacking)
