"""Which stage comes next."""

from __future__ import annotations

from dataclasses import dataclass

from secateur_api import PruningJobSpec, PruningJobStatus, Stage
from secateur_api.stage import RoundRequest
from secateur_operator.domain import rounds


@dataclass(frozen=True)
class Next:
    """A stage to run; ``round`` is set for a round."""

    stage: Stage
    round: RoundRequest | None = None


def following(spec: PruningJobSpec, status: PruningJobStatus) -> Next | None:
    """Return the first stage that is wanted and not finished; None when only the verdict is left."""
    done = {finished.name for finished in status.stages}
    if spec.model.pretrain is not None and Stage.PRETRAIN not in done:
        return Next(Stage.PRETRAIN)
    if status.preflight is None:
        return Next(Stage.PREFLIGHT)
    if status.preflight.needs_sensitivity and Stage.SENSITIVITY not in done:
        return Next(Stage.SENSITIVITY)
    if Stage.CONVERT not in done:
        step = rounds.first_step(spec) if status.step is None else status.step
        request = rounds.next_round(spec, status.rounds, step)
        return Next(Stage.CONVERT) if request is None else Next(Stage.ROUND, request)
    if spec.benchmark and Stage.BENCHMARK not in done:
        return Next(Stage.BENCHMARK)
    return None if Stage.REPORT in done else Next(Stage.REPORT)
