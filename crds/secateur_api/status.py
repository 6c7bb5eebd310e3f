"""The status of a PruningJob: written by the control plane only, every number measured."""

from __future__ import annotations

from typing import Any, Literal

from secateur_api.base import Contract
from secateur_api.conditions import ConditionType, Phase
from secateur_api.quantity import show_bytes, show_count, show_seconds
from secateur_api.results import Artifact, BenchmarkOutcome, PreflightOutcome, RoundOutcome
from secateur_api.spec import Backend, Format, Metric
from secateur_api.stage import RoundRequest, Stage

LAYER_RULES = "layerRules"
"""The metric of a verdict on the layer rules, where there is no target."""
NOT_MEASURED = "not measured"


class Condition(Contract):
    """A Kubernetes condition."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    last_transition_time: str
    """RFC 3339."""
    observed_generation: int = 0


class CurrentStage(Contract):
    """The stage that is under way; written before its Job is created."""

    name: Stage
    round: RoundRequest | None = None
    attempt: int = 1
    """1, 2, ...; counts retries of this stage (of this round)."""
    job: str
    """Name of its Job."""
    started_at: str
    not_before: str | None = None
    """A retry waits until then."""
    recall: bool = False
    """Its Job only reads the finished result from the store, because the pod was gone before it was read."""
    on_cpu: bool = False
    """No GPU came free within ``gpuWait``: it runs on the CPU."""


class JobProgress(Contract):
    """Live progress of the current stage; best effort."""

    percent: float
    """Of the current stage."""
    step: str = ""
    metric: float | None = None
    eta_seconds: float | None = None
    heartbeat: str
    """When the stage last said something."""


class FinishedStage(Contract):
    """One finished stage."""

    name: Stage
    round: int | None = None
    attempt: int
    job: str
    units: list[str]
    """Its units in the store, one per shard."""
    seconds: float
    """Wall time of the work (of the longest shard)."""
    reused: bool = False
    """All of it was already in the store."""
    note: str = ""
    """Why finished work was done again: what of it was damaged in the store."""
    measured_at: str | None = None
    """When its numbers were measured: of a reused stage, in an earlier run."""
    started_at: str
    finished_at: str


class RoundStatus(Contract):
    """One round and the gate's answer."""

    outcome: RoundOutcome
    accepted: bool
    """False: rolled back, the next round goes on from the last accepted one."""
    floor: float
    """The largest relative drop that was allowed."""
    seconds: float
    job: str
    unit: str


class Judged(Contract):
    """One constraint, or the target, with its measurement."""

    name: str
    """The constraint in words: ``latencyP50 <= 500ms on local-x86 (paddle-lite/x86)``."""
    metric: str
    """A constraint's metric; ``targetMacs``, ``targetParams`` ... for the target; ``layerRules`` for the
    share of the layer rules reached where there is no target; ``floor`` for a missed accuracy floor."""
    bound: str
    measured: str
    """As a person reads it, in the unit of the bound; ``not measured`` where there is no measurement."""
    value: float | None = None
    """The measurement: fraction, seconds, bytes, count or factor; None where there is none."""
    limit: float
    """The bound in the same unit."""
    device: str | None = None
    format: Format | None = None
    backend: Backend | None = None
    holds: bool

    @property
    def margin(self) -> str:
        """How far it is from the bound, in the bound's unit: ``1.3 points over``; "" if not measured."""
        if self.value is None:
            return ""
        over = self.value - self.limit
        if over == 0:
            return "exactly on the bound"
        size = _show_distance(self.metric, self.bound, abs(over))
        if (over > 0) == is_least(self.metric):
            return f"{size} to spare"
        return f"{size} {'short' if is_least(self.metric) else 'over'}"


def is_least(metric: str) -> bool:
    """Whether the bound of a judged metric is the least that holds; of the others it is the most."""
    return metric in (Metric.SPEEDUP.value, LAYER_RULES) or metric.startswith("target")


def show_measured(metric: str, bound: str, value: float) -> str:
    """Write a value of a judged metric in the unit of its bound."""
    if bound.endswith("%"):
        return f"{100 * value:.4g}%"
    if metric in (Metric.LATENCY_P50.value, Metric.LATENCY_P90.value):
        return show_seconds(value)
    if metric in (Metric.MODEL_SIZE.value, Metric.PEAK_MEMORY.value):
        return show_bytes(value)
    if metric == Metric.SPEEDUP.value:
        return f"{value:.2f}x" if value >= 0.005 else f"{value:.1g}x"
    return show_count(value)


def _show_distance(metric: str, bound: str, size: float) -> str:
    """Write the distance of two values; that of two percentages is in points."""
    if not bound.endswith("%"):
        return show_measured(metric, bound, size)
    points = 100 * size
    return f"{points:.1f} points" if points >= 1 else f"{points:.2g} points"


class Verdict(Contract):
    """What the control plane concluded; the report is given it as ``StageInput.verdict``."""

    holds: bool
    """The target was reached and every constraint was measured and holds."""
    reason: str
    """One of :class:`secateur_api.conditions.Reason`."""
    message: str = ""
    """One line for a person."""
    judged: list[Judged] = []
    rounds: list[RoundStatus] = []


FileKind = Literal["model", "checkpoint", "report", "card", "manifest"]


class ArtifactStatus(Contract):
    """One file that the user can take away."""

    kind: FileKind
    uri: str
    sha256: str | None = None
    """Of its content; checked whenever Secateur reads it."""
    bytes: int | None = None
    format: Format | None = None
    backend: Backend | None = None


class Printed(Contract):
    """The summary that ``kubectl get`` shows, rounded for reading; the numbers themselves are elsewhere."""

    progress: str
    """``percent``: ``43%``."""
    round: int | None = None
    """The round under way, else how many were run."""
    metric: str | None = None
    """Of the model that would be converted now; before the first round, the baseline's."""
    drop: str | None = None
    """Its relative drop: the converted model's (the largest) once that is measured, before it the gate's."""
    macs_cut: str | None = None
    """Its share of the unpruned model's MACs that is cut: ``48.1%``."""
    speedup: str | None = None
    """The least over all benchmarks: ``1.58x``."""


class PruningJobStatus(Contract):
    """What was observed and measured."""

    phase: Phase = Phase.PENDING
    observed_generation: int = 0
    message: str = ""
    """One line for a person."""
    conditions: list[Condition] = []
    started_at: str | None = None
    finished_at: str | None = None
    percent: float = 0.0
    """Of the whole job, estimated from finished stages."""
    resolved_spec: dict[str, Any] | None = None
    """The spec with every default; the job runs by it."""
    stage: CurrentStage | None = None
    progress: JobProgress | None = None
    step: float | None = None
    """What the next round may add to the plan's share, 0..1."""
    preflight: PreflightOutcome | None = None
    stages: list[FinishedStage] = []
    rounds: list[RoundStatus] = []
    model: str | None = None
    """Unit of the round that is converted: the last accepted one, or the nearest."""
    converted: list[Artifact] = []
    benchmarks: list[BenchmarkOutcome] = []
    constraints: list[Judged] = []
    artifacts: list[ArtifactStatus] = []
    mended: int = 0
    """How often this job went back because a unit of a finished stage was damaged in the store; at most
    ``budget.retries`` times."""
    run: int = 1
    """Counts starts: 1, and one more for each changed spec and each time its user started it again."""
    paused_seconds: float = 0.0
    """Time spent suspended; not counted against ``budget.wallClock``."""
    printed: Printed | None = None
    """What ``kubectl get`` shows."""
