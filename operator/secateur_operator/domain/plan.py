"""The Job of a stage: what it is told, derived from the status alone, so that it can be made again.

Its name is a function of what it is for, so that the same Job is never made under two names. Credentials that
stand in a spec's URIs are told to stages and never shown in the status.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from secateur_api import PruningJob, PruningJobSpec, PruningJobStatus, Stage, StageInput
from secateur_api.spec import Budget, StageResources, Store
from secateur_api.stage import Upstream
from secateur_api.status import CurrentStage
from secateur_api.uri import HIDDEN, redacted
from secateur_operator.domain import judge

LIMIT = 52
"""Longest Job name: a pod's host name is ``<job>-<index>`` and may have 63 characters."""


def child_name(
    job: str,
    uid: str,
    run: int,
    stage: Stage,
    round_number: int | None,
    attempt: int,
    recall: bool = False,
) -> str:
    """Name the Job of one attempt at a stage: ``digits-round-2-a1-0f3c9a7b``."""
    kind = stage.value if round_number is None else f"{stage.value}-{round_number}"
    kind = f"recall-{kind}" if recall else kind
    identity = f"{uid}/{run}/{kind}/{attempt}"
    tail = f"-{kind}-a{attempt}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"
    return job[: LIMIT - len(tail)].rstrip("-") + tail


def hidden(value: Any) -> Any:
    """Return a document with each text redacted."""
    if isinstance(value, dict):
        return {key: hidden(one) for key, one in value.items()}
    if isinstance(value, list):
        return [hidden(one) for one in value]
    return redacted(value) if isinstance(value, str) else value


def revealed(shown: Any, spec: Any) -> Any:
    """Return what :func:`hidden` left of a document, with the credentials that ``spec`` has there."""
    if isinstance(shown, dict) and isinstance(spec, dict):
        return {key: revealed(one, spec.get(key)) for key, one in shown.items()}
    if isinstance(shown, list) and isinstance(spec, list) and len(shown) == len(spec):
        return [revealed(one, other) for one, other in zip(shown, spec, strict=True)]
    if isinstance(shown, str) and HIDDEN in shown and isinstance(spec, str) and redacted(spec) == shown:
        return spec
    return shown


@dataclass(frozen=True)
class StageJob:
    """A Job to be created."""

    name: str
    owner: str
    """Name of the PruningJob."""
    namespace: str
    owner_uid: str
    run: int
    round: int | None
    attempt: int
    input: StageInput
    spec: PruningJobSpec
    """The resolved spec, with what only the cluster reads (the stage is not told that part)."""
    deadline_seconds: float
    """What is left of the budget; not part of the Job's identity."""
    recall: bool = False
    """It only reads the finished result from the store."""
    on_cpu: bool = False
    """It runs on the CPU, whatever ``spec.resources`` says."""

    @property
    def stage(self) -> Stage:
        """The stage that it runs."""
        return self.input.stage

    @property
    def shards(self) -> int:
        """How many processes share the work."""
        return self.input.shards

    @cached_property
    def input_json(self) -> str:
        """The stage's input document; the shard index comes from the environment."""
        return self.input.model_dump_json(by_alias=True, exclude_none=True)

    @cached_property
    def input_hash(self) -> str:
        """Tells whether a Job of the same name is the same Job."""
        return hashlib.sha256(self.input_json.encode()).hexdigest()[:32]


def resolved_spec(status: PruningJobStatus) -> PruningJobSpec:
    """Return the spec that the job runs by."""
    return PruningJobSpec.model_validate(status.resolved_spec)


def stage_job(
    job: PruningJob, status: PruningJobStatus, current: CurrentStage, deadline_seconds: float
) -> StageJob:
    """Build the Job of the current stage."""
    spec = PruningJobSpec.model_validate(revealed(status.resolved_spec, job.spec.to_wire()))
    return StageJob(
        name=current.job,
        owner=job.metadata.name,
        namespace=job.metadata.namespace,
        owner_uid=job.metadata.uid,
        run=status.run,
        round=current.round.number if current.round else None,
        attempt=current.attempt,
        input=_stage_input(job.metadata.name, spec, status, current),
        spec=spec,
        deadline_seconds=deadline_seconds,
        recall=current.recall,
        on_cpu=current.on_cpu,
    )


def store_of(spec: PruningJobSpec) -> Store:
    """Return the store of a resolved spec."""
    if spec.store is None:
        raise ValueError("the spec is not resolved: it has no store")
    return spec.store


_CLUSTER_ONLY: dict[str, object] = {
    "store": None,
    "image": None,
    "queue": None,
    "template": None,
    "resources": [StageResources()],
    "budget": Budget(),
}


def _stage_input(
    name: str, spec: PruningJobSpec, status: PruningJobStatus, current: CurrentStage
) -> StageInput:
    verdict = judge.verdict(spec, status).to_wire() if current.name is Stage.REPORT else None
    return StageInput(
        job=name,
        stage=current.name,
        spec=spec.model_copy(update=_CLUSTER_ONLY),
        store=store_of(spec).stage_uri,
        upstream=_upstream(status),
        shards=_shards(spec, current.name),
        round=current.round,
        verdict=verdict,
    )


def _shards(spec: PruningJobSpec, stage: Stage) -> int:
    """Return how many processes a stage has: the sensitivity's share its points, a round's train together."""
    if stage is Stage.SENSITIVITY:
        return spec.sensitivity.shards
    if stage is Stage.ROUND and spec.fine_tune.epochs > 0:
        return spec.fine_tune.workers
    return 1


def _upstream(status: PruningJobStatus) -> Upstream:
    units = {done.name: done.units for done in status.stages if done.name is not Stage.ROUND}

    def one(stage: Stage) -> str | None:
        return units[stage][0] if stage in units else None

    return Upstream(
        pretrain=one(Stage.PRETRAIN),
        preflight=one(Stage.PREFLIGHT),
        sensitivity=units.get(Stage.SENSITIVITY, []),
        rounds=[done.unit for done in status.rounds],
        model=status.model,
        convert=one(Stage.CONVERT),
        quantize=one(Stage.QUANTIZE),
        benchmark=units.get(Stage.BENCHMARK, []),
    )
