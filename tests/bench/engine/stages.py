"""Run the product's own stages, each as the process that a job would start, over one store.

A unit of work that the store holds already is not done again, so an interrupted benchmark goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from secateur_api.spec import PruningJobSpec
from secateur_api.stage import (
    INPUT_VARIABLE,
    TERMINATION_VARIABLE,
    RoundRequest,
    Stage,
    StageInput,
    StageSummary,
    Upstream,
)
from tests.bench.job import ROOT


def run_stage(
    stage: Stage, spec: PruningJobSpec, store: Path, upstream: Upstream, round: RoundRequest | None = None
) -> StageSummary:
    """Return what the stage says at its end; raises SystemExit with its message if it fails."""
    request = StageInput(
        job="bench", stage=stage, spec=spec, store=str(store.resolve()), upstream=upstream, round=round
    )
    with tempfile.TemporaryDirectory(prefix="secateur-bench-") as folder:
        message = Path(folder) / "termination.json"
        environment = {
            **os.environ,
            INPUT_VARIABLE: json.dumps(request.to_wire()),
            TERMINATION_VARIABLE: str(message),
        }
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "secateur_jobs", stage.value],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if not message.exists():
            raise SystemExit(f"stage {stage.value} left no message:\n{ended.stderr}")
        summary = StageSummary.model_validate_json(message.read_text())
    if not summary.ok:
        raise SystemExit(f"stage {stage.value}: {summary.reason}: {summary.message}\n{ended.stderr[-2000:]}")
    return summary


def unit_of(summary: StageSummary) -> str:
    """Return the unit that the stage committed."""
    if summary.unit is None:
        raise SystemExit(f"stage {summary.stage.value} names no unit")
    return summary.unit
