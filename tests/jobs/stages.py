"""Run a stage the way the control plane does: as a process, told by its environment."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secateur_api.spec import PruningJobSpec
from secateur_api.stage import (
    INPUT_VARIABLE,
    PROGRESS_PREFIX,
    TERMINATION_VARIABLE,
    Progress,
    Stage,
    StageInput,
    StageSummary,
)


@dataclass(frozen=True)
class Ended:
    """A stage process that has ended."""

    code: int
    summary: StageSummary | None
    progress: list[Progress]
    stderr: str

    @property
    def said(self) -> StageSummary:
        """The termination message; fails the test if there is none."""
        assert self.summary is not None, self.stderr
        return self.summary


def digits_spec(**changes: Any) -> dict[str, Any]:
    """Return the spec of a job that takes seconds; ``changes`` replace whole top-level fields."""
    return {
        "model": {
            "factory": "secateur_jobs.zoo.digits:residual_net",
            "args": {"width": 8},
            "pretrain": {"epochs": 1},
            "inputs": [{"name": "image", "shape": [1, 1, 16, 16]}],
        },
        "data": {
            "factory": "secateur_jobs.data.digits:splits",
            "args": {"size": 16, "train_copies": 1, "eval_copies": 1},
        },
        "pruning": {"target": {"macs": "50%"}},
        **changes,
    }


def stage_input(stage: Stage, spec: dict[str, Any], store: Path | str, **more: Any) -> StageInput:
    """Return the input of a stage, validated as the control plane validates it."""
    return StageInput(
        job="test", stage=stage, spec=PruningJobSpec.model_validate(spec), store=str(store), **more
    )


def run(
    stage: str,
    text: StageInput | str | None,
    scratch: Path,
    file_limit: int | None = None,
    limit: float = 120,
    **environment: str,
) -> Ended:
    """Run ``python -m secateur_jobs STAGE``; ``file_limit`` bounds the bytes of each file that it writes,
    ``limit`` its seconds."""
    message = scratch / "termination.json"
    message.unlink(missing_ok=True)
    env = {**os.environ, TERMINATION_VARIABLE: str(message), **environment}
    env.pop(INPUT_VARIABLE, None)
    if text is not None:
        env[INPUT_VARIABLE] = text if isinstance(text, str) else json.dumps(text.to_wire())

    def bound() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "secateur_jobs", stage],
        env=env,
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
        preexec_fn=bound,
    )
    lines = [line for line in ended.stdout.splitlines() if line.startswith(PROGRESS_PREFIX)]
    return Ended(
        code=ended.returncode,
        summary=StageSummary.model_validate_json(message.read_text()) if message.exists() else None,
        progress=[Progress.model_validate_json(line.removeprefix(PROGRESS_PREFIX)) for line in lines],
        stderr=ended.stderr,
    )
