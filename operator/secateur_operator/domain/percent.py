"""How far a job is, estimated from finished stages and the current one's own percentage."""

from __future__ import annotations

import math

from secateur_api import PruningJobSpec, PruningJobStatus, Stage
from secateur_operator.domain import rounds

_EFFORT = {
    Stage.PRETRAIN: 20,
    Stage.PREFLIGHT: 10,
    Stage.SENSITIVITY: 20,
    Stage.ROUND: 40,
    Stage.CONVERT: 5,
    Stage.BENCHMARK: 10,
    Stage.REPORT: 2,
}
"""Guessed shares of the whole effort; they shape a progress bar and nothing else. ROUND counts all rounds."""


def of_job(spec: PruningJobSpec, status: PruningJobStatus) -> float:
    """Return 0..100; never less than the status said before."""
    wanted = {stage: float(effort) for stage, effort in _EFFORT.items() if _is_wanted(stage, spec, status)}
    done = {finished.name for finished in status.stages}
    spent = sum(wanted.get(stage, 0.0) for stage in done if stage is not Stage.ROUND)
    per_round = wanted[Stage.ROUND] / _expected_rounds(spec, status)
    spent += wanted[Stage.ROUND] if Stage.CONVERT in done else per_round * len(status.rounds)
    if status.stage is not None and status.progress is not None:
        part = per_round if status.stage.name is Stage.ROUND else wanted.get(status.stage.name, 0.0)
        spent += part * status.progress.percent / 100
    return max(status.percent, round(min(100.0 * spent / sum(wanted.values()), 99.0), 1))


def _is_wanted(stage: Stage, spec: PruningJobSpec, status: PruningJobStatus) -> bool:
    if stage is Stage.PRETRAIN:
        return spec.model.pretrain is not None
    if stage is Stage.SENSITIVITY:
        return status.preflight is None or status.preflight.needs_sensitivity
    return stage is not Stage.BENCHMARK or bool(spec.benchmark)


def _expected_rounds(spec: PruningJobSpec, status: PruningJobStatus) -> int:
    base = rounds.last_accepted(status.rounds)
    step = rounds.first_step(spec) if status.step is None else status.step
    left = math.ceil((1 - (base.outcome.share if base else 0.0)) / step - 1e-6)
    return max(1, min(spec.pruning.schedule.rounds, len(status.rounds) + left))
