"""What a stage of a job left in the store, asked of the stage itself, which does no work."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from secateur_api import ExitCode, StageSummary
from secateur_api.spec import Store
from secateur_api.stage import NO_RESULT, TO_DO
from secateur_api.storekeeping import StoreRequest
from secateur_operator.domain.plan import StageJob
from secateur_operator.gateway.local.runner import STAGE_COMMAND, ask, stage_environment


class NotForeseen(Exception):
    """A stage cannot even name its result; the message says why in one sentence."""


def recall(job: StageJob, command: Sequence[str] = STAGE_COMMAND) -> list[StageSummary | str]:
    """Return what each process of the stage left; else what is damaged of it, "" where nothing is there.

    A stage that reads data, code and weights reads them, for its result is named by their content. Raises
    NotForeseen where that fails.
    """
    with tempfile.TemporaryDirectory(prefix="secateur-plan-") as folder:
        return [_recalled(job, shard, Path(folder), command) for shard in range(job.shards)]


def damaged(store: Store, units: list[str]) -> dict[str, str]:
    """Return what is wrong with those of the units that are not whole. Raises StoreError."""
    if not units:
        return {}
    answers = ask(StoreRequest(action="verify", store=store.stage_uri, units=units))
    return {one.kept.unit: one.kept.damage for one in answers if one.kept is not None and one.kept.damage}


def _recalled(job: StageJob, shard: int, folder: Path, command: Sequence[str]) -> StageSummary | str:
    code, summary = _asked(job, shard, folder, command)
    if code == ExitCode.RETRYABLE and summary.message.endswith(TO_DO):
        why = summary.message.removesuffix(TO_DO)
        return "" if NO_RESULT in why else why
    if code != ExitCode.DONE or not summary.ok or getattr(summary.outcome, job.stage.value) is None:
        raise NotForeseen(f"{job.stage.value}: {summary.message or f'exit code {code}'}")
    return summary


def _asked(job: StageJob, shard: int, folder: Path, command: Sequence[str]) -> tuple[int, StageSummary]:
    message = folder / f"{shard}.message"
    ended = subprocess.run(
        [*command, job.stage.value],
        env=stage_environment(job.input_json, shard, message, folder, recall=True),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    try:
        return ended.returncode, StageSummary.model_validate_json(message.read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        said = ended.stderr.strip().splitlines()
        why = said[-1] if said else f"it ended with exit code {ended.returncode}"
        raise NotForeseen(f"{job.stage.value}: {why}") from None
