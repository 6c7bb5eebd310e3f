"""Jobs of stages as the decision would ask for them."""

from __future__ import annotations

from typing import Any

from secateur_api import PruningJobStatus, Stage
from secateur_api.stage import RoundRequest
from secateur_api.status import CurrentStage
from secateur_operator.domain.observed import Defaults
from secateur_operator.domain.plan import StageJob, child_name, stage_job
from secateur_operator.domain.start import resolve
from tests.unit.control.jobs import job

STORE = {"claim": "models"}
IMAGE = "registry.example.com/secateur-jobs:1.0"


def stage_job_of(
    stage: Stage,
    *,
    number: int | None = None,
    attempt: int = 1,
    recall: bool = False,
    on_cpu: bool = False,
    seconds: float = 3600.0,
    run: int = 1,
    name: str = "digits",
    uid: str = "6c0c2f6e-8a4b-4a5e-9d0f-0c7b5f1d2e3a",
    **spec: Any,
) -> StageJob:
    """Return the Job of a stage; ``spec`` replaces top-level fields of the spec."""
    wanted = job(**{"store": STORE, "image": IMAGE, **spec})
    named = wanted.model_copy(
        update={"metadata": wanted.metadata.model_copy(update={"name": name, "uid": uid, "namespace": "ml"})}
    )
    status = PruningJobStatus(run=run, resolved_spec=resolve(named.spec, Defaults(store=None)))
    current = CurrentStage(
        name=stage,
        round=RoundRequest(number=number, share=0.2) if number is not None else None,
        attempt=attempt,
        job=child_name(name, uid, run, stage, number, attempt, recall),
        started_at="2026-01-01T00:00:00Z",
        recall=recall,
        on_cpu=on_cpu,
    )
    return stage_job(named, status, current, seconds)
