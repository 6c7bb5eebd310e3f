"""A job's state in words and numbers, for terminals of every kind."""

from __future__ import annotations

from secateur_api import PruningJob, PruningJobStatus, Stage
from secateur_api.quantity import show_seconds
from secateur_api.results import Artifact
from secateur_api.spec import Activations, target_name
from secateur_api.status import CurrentStage, FinishedStage, RoundStatus

_ENOUGH_PERCENT = 5.0
"""Below this, the work done says too little about the rest."""


def title(stage: CurrentStage | FinishedStage) -> str:
    """Name a stage: ``preflight``, ``round 2``."""
    if isinstance(stage, CurrentStage):
        return f"round {stage.round.number}" if stage.round else stage.name.value
    return f"round {stage.round}" if stage.round is not None else stage.name.value


def seconds_left(status: PruningJobStatus) -> float | None:
    """Estimate the seconds to the job's end from the work done so far; None while it is too early.

    It counts work, not time since the start: a job that was interrupted overnight is not slower.
    """
    spent = sum(done.seconds for done in status.stages)
    live = status.progress
    if live is not None and live.eta_seconds is not None and live.percent < 100:
        spent += live.eta_seconds * live.percent / (100 - live.percent)
    if status.percent < _ENOUGH_PERCENT or spent == 0:
        return None
    return spent * (100 - status.percent) / status.percent


def metric_name(job: PruningJob) -> str:
    """Name the evaluation metric: ``accuracy``, or the callable's own name."""
    return job.spec.evaluation.metric.rsplit(":", 1)[-1]


def current_metric(job: PruningJob) -> str:
    """Name the metric with its newest value: live, else of the last round, else of the baseline."""
    status, name = job.status, metric_name(job)
    found = status.preflight
    if status.progress is not None and status.progress.metric is not None:
        in_round = status.stage is not None and status.stage.name is Stage.ROUND
        if in_round and found is not None:
            name = found.choosing(job.spec.evaluation).metric.rsplit(":", 1)[-1]
        return f"{name} {status.progress.metric:.4g}"
    if status.rounds:
        return f"{name} {status.rounds[-1].outcome.numbers.metric:.4g}"
    return f"{name} {found.baseline.metric:.4g}" if found is not None else ""


def percent(share: float, signed: bool = False) -> str:
    """Write a share for a person: ``0.123`` is ``12.3%``."""
    return f"{100 * share:+.1f}%" if signed else f"{100 * share:.1f}%"


def round_result(one: RoundStatus) -> str:
    """Say what a round cut, and what the gate decided."""
    outcome = one.outcome
    gate = "" if one.accepted else f", rolled back (floor {percent(one.floor)})"
    return (
        f"MACs -{percent(outcome.cut_macs)}, metric {outcome.recovered:.4g}, "
        f"drop {percent(outcome.drop)}{gate}"
    )


def _quantized(made: Artifact) -> str:
    found, name = made.precision, target_name(made.format, made.backend)
    if found is None:
        return f"{name} stays in 32 bits"
    counts = {8: found.bits8, 16: found.bits16, 32: found.bits32}
    shares = [
        f"{percent(count / sum(counts.values()))} in {bits} bits" for bits, count in counts.items() if count
    ]
    if found.activations is Activations.INT8:
        shares.append("computes in 8 bits")
    lost = "" if found.drop is None else f", drop {percent(found.drop)}"
    return f"{name} {', '.join(shares)}{lost}"


NO_LABELS = (
    "no labels were seen: agreement says how often the pruned model gives the unpruned model's answer, "
    "not how often either is right"
)


def stage_result(status: PruningJobStatus, done: FinishedStage) -> str:
    """Say what a finished stage found, in a few words."""
    if done.name is Stage.PREFLIGHT and status.preflight is not None:
        found = status.preflight
        return f"metric {found.baseline.metric:.4g}, {found.groups} groups of the {found.cut_as.value} to cut"
    if done.name is Stage.ROUND and done.round is not None and done.round <= len(status.rounds):
        return round_result(status.rounds[done.round - 1])
    if done.name is Stage.CONVERT:
        return ", ".join(
            target_name(one.format, one.backend) for one in status.converted if one.role == "pruned"
        )
    if done.name is Stage.QUANTIZE:
        return ", ".join(_quantized(one) for one in status.converted if one.role == "pruned")
    if done.name is Stage.BENCHMARK:
        return ", ".join(f"{one.speedup:.2f}x on {one.device}" for one in status.benchmarks)
    return ""


def took(done: FinishedStage) -> str:
    """Say how long a stage worked, or that its result was reused."""
    return "reused" if done.reused else show_seconds(done.seconds)
