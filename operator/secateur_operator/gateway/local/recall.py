"""What a stage of a job left in the store, asked of the stage itself, which does no work."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from secateur_api import ExitCode, StageSummary
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.local.runner import STAGE_COMMAND, stage_environment

_TO_DO = "; the work is to be done again"


class NotForeseen(Exception):
    """A stage cannot even name its result; the message says why in one sentence."""


def recall(job: StageJob, command: Sequence[str] = STAGE_COMMAND) -> list[StageSummary] | str:
    """Return the summary of each process of the stage, or why its work is to be done.

    A stage that reads data, code and weights reads them, for its result is named by their content. Raises
    NotForeseen where that fails.
    """
    found = []
    with tempfile.TemporaryDirectory(prefix="secateur-plan-") as folder:
        for shard in range(job.shards):
            code, summary = _asked(job, shard, Path(folder), command)
            if code == ExitCode.RETRYABLE and summary.message.endswith(_TO_DO):
                return _short(summary.message)
            if code != ExitCode.DONE or not summary.ok:
                raise NotForeseen(f"{job.stage.value}: {summary.message}")
            found.append(summary)
    return found


def _asked(job: StageJob, shard: int, folder: Path, command: Sequence[str]) -> tuple[int, StageSummary]:
    message = folder / f"{shard}.message"
    ended = subprocess.run(
        [*command, job.stage.value],
        env=stage_environment(job.input_json, shard, message, folder, recall=True),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return ended.returncode, StageSummary.model_validate_json(message.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        said = ended.stderr.strip().splitlines()
        why = said[-1] if said else f"it ended with exit code {ended.returncode}"
        raise NotForeseen(f"{job.stage.value}: {why}") from None


def _short(message: str) -> str:
    """Leave out that there is no result, which is plain; keep what is wrong with one that was there."""
    said = message.removesuffix(_TO_DO)
    return "" if " holds no result of " in said else said
