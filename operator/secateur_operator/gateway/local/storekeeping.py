"""The data plane's ``store`` command, run as a child process of this one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence

from secateur_api.storekeeping import LINE_PREFIX, Answer, StoreRequest
from secateur_operator.gateway.local.runner import STAGE_COMMAND


class StoreError(Exception):
    """The store cannot be looked at; the message says why in one sentence."""


def ask(request: StoreRequest, command: Sequence[str] = STAGE_COMMAND) -> list[Answer]:
    """Return the answers to a request. Raises StoreError."""
    ended = subprocess.run(
        [*command, "store"],
        input=request.model_dump_json(by_alias=True),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return answers(ended.stdout.splitlines())
    except StoreError as error:
        said = ended.stderr.strip().splitlines()
        raise StoreError(str(error) or (said[-1] if said else f"exit code {ended.returncode}")) from None


def answers(lines: Iterable[str]) -> list[Answer]:
    """Return the answers among the lines of a log, the last one apart. Raises StoreError."""
    found = [
        Answer.model_validate_json(line.removeprefix(LINE_PREFIX))
        for line in lines
        if line.startswith(LINE_PREFIX)
    ]
    if not found or not found[-1].done:
        raise StoreError((found[-1].failed if found else None) or "")
    return found[:-1]
