"""The data plane's ``store`` command, run as a child process of this one."""

from __future__ import annotations

import subprocess

from secateur_api.storekeeping import Answer, StoreRequest
from secateur_operator.gateway.answers import answers
from secateur_operator.gateway.local.runner import STAGE_COMMAND


def ask(request: StoreRequest) -> list[Answer]:
    """Return the answers to a request. Raises StoreError."""
    ended = subprocess.run(
        [*STAGE_COMMAND, "store"],
        input=request.model_dump_json(by_alias=True),
        capture_output=True,
        text=True,
        check=False,
    )
    said = ended.stderr.strip().splitlines()
    return answers(ended.stdout.splitlines(), said[-1] if said else f"exit code {ended.returncode}")
