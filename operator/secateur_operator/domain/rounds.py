"""Which stage comes next, and the round policy: prune a little, recover, look.

Where recovery fails, the round is rolled back and the step halved. Shares are of the whole plan (targets and
layer rules), 0..1; ``schedule.step`` is in units of the largest target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secateur_api import PruningJobSpec, PruningJobStatus, Stage
from secateur_api.quantity import parse_percent
from secateur_api.results import RoundOutcome
from secateur_api.spec import Metric
from secateur_api.stage import RoundRequest
from secateur_api.status import RoundStatus

DEFAULT_FLOOR = 0.05
"""Largest relative drop after a round where neither the schedule nor a constraint says another."""
_WHOLE = 1 - 1e-6
"""A share this close to 1 is the whole plan: steps are decimal fractions, which do not add up exactly."""


def extent(spec: PruningJobSpec) -> float:
    """Return what the whole plan cuts, in units of ``schedule.step``: the largest target, else rule."""
    if spec.pruning.target is not None:
        return max(spec.pruning.target.shares.values())
    return max(rule.ratio for rule in spec.pruning.layers)


def first_step(spec: PruningJobSpec) -> float:
    """Return the share of the plan that the first round may reach."""
    return _share(spec.pruning.schedule.step, extent(spec))


def smallest_step(spec: PruningJobSpec) -> float:
    """Return the share below which a halved step ends the rounds; the first step is never below it."""
    return min(_share(spec.pruning.schedule.min_step, extent(spec)), first_step(spec))


def _share(amount: float, whole: float) -> float:
    return 1.0 if amount >= whole else amount / whole


def floor(spec: PruningJobSpec) -> float:
    """Return the largest relative drop that a round may leave after recovery."""
    if spec.pruning.schedule.floor is not None:
        return parse_percent(spec.pruning.schedule.floor)
    bounds = [
        parse_percent(c.max)
        for c in spec.constraints
        if c.metric is Metric.ACCURACY_DROP and c.max is not None
    ]
    return min(bounds, default=DEFAULT_FLOOR)


def is_accepted(outcome: RoundOutcome, allowed: float) -> bool:
    """Whether a round recovered enough to go on from."""
    return outcome.drop <= allowed


def next_step(step: float, done: Sequence[RoundStatus], outcome: RoundOutcome, accepted: bool) -> float:
    """Return the step after a round; ``done`` are the rounds before it.

    After a roll-back it is half of what was tried, which is less than the step where the plan's end was near.
    """
    if accepted:
        return step
    base = last_accepted(done)
    return (outcome.share - (base.outcome.share if base else 0.0)) / 2


def next_round(spec: PruningJobSpec, done: Sequence[RoundStatus], step: float) -> RoundRequest | None:
    """Return the next round, or None when the rounds have ended."""
    base = last_accepted(done)
    reached = base.outcome.share if base else 0.0
    if reached >= _WHOLE or len(done) >= spec.pruning.schedule.rounds:
        return None
    if step < smallest_step(spec) * _WHOLE:
        return None
    share = reached + step
    return RoundRequest(
        number=len(done) + 1,
        share=1.0 if share >= _WHOLE else round(share, 6),
        base=base.unit if base else None,
    )


def last_accepted(done: Sequence[RoundStatus]) -> RoundStatus | None:
    """Return the round that the next one goes on from."""
    return next((one for one in reversed(done) if one.accepted), None)


def candidate(done: Sequence[RoundStatus]) -> RoundStatus | None:
    """Return the round whose model is converted: the last accepted, else the one with the least drop."""
    return last_accepted(done) or min(done, key=lambda one: one.outcome.drop, default=None)


_AFTER_CONVERT = (Stage.QUANTIZE, Stage.BENCHMARK, Stage.REPORT)


@dataclass(frozen=True)
class Next:
    """A stage to run; ``round`` is set for a round."""

    stage: Stage
    round: RoundRequest | None = None


def following(spec: PruningJobSpec, status: PruningJobStatus) -> Next | None:
    """Return the first stage that is wanted and not finished; None when only the verdict is left."""
    done = {finished.name for finished in status.stages}
    if spec.wants(Stage.PRETRAIN) and Stage.PRETRAIN not in done:
        return Next(Stage.PRETRAIN)
    if status.preflight is None:
        return Next(Stage.PREFLIGHT)
    if status.preflight.needs_sensitivity and Stage.SENSITIVITY not in done:
        return Next(Stage.SENSITIVITY)
    if Stage.CONVERT not in done:
        step = first_step(spec) if status.step is None else status.step
        request = next_round(spec, status.rounds, step)
        return Next(Stage.CONVERT) if request is None else Next(Stage.ROUND, request)
    last = (stage for stage in _AFTER_CONVERT if spec.wants(stage) and stage not in done)
    return next((Next(stage) for stage in last), None)
