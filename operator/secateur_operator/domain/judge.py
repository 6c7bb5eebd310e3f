"""The verdict: every target and every constraint against what was measured."""

from __future__ import annotations

from secateur_api import PruningJobSpec, PruningJobStatus
from secateur_api.conditions import Reason
from secateur_api.quantity import (
    parse_bytes,
    parse_count,
    parse_duration,
    parse_factor,
    parse_percent,
)
from secateur_api.spec import Constraint, Metric, target_name
from secateur_api.status import (
    LAYER_RULES,
    NOT_MEASURED,
    Judged,
    RoundStatus,
    Verdict,
    is_least,
    show_measured,
)
from secateur_operator.domain import measurements, rounds
from secateur_operator.domain.measurements import Measurement

FLOOR = "floor"
_CUT = {"macs": "MACs", "params": "parameters", "size": "checkpoint size", "latency": "latency"}
_ROUNDING = 1e-9


def verdict(spec: PruningJobSpec, status: PruningJobStatus) -> Verdict:
    """Judge the candidate: every target must be reached, and every constraint measured and held."""
    judged = judge(spec, status)
    failed = [one for one in judged if not one.holds]
    if not failed:
        return Verdict(
            holds=True,
            reason=Reason.CONSTRAINTS_MET.value,
            message="; ".join(f"{one.name}: {one.measured}" for one in judged),
            judged=judged,
            rounds=status.rounds,
        )
    return Verdict(
        holds=False,
        reason=_reason(failed).value,
        message="; ".join(_shortfall(one) for one in failed),
        judged=judged,
        rounds=status.rounds,
    )


def judge(spec: PruningJobSpec, status: PruningJobStatus) -> list[Judged]:
    """Return each target's judgement, then each constraint's: one for each measurement it selects."""
    chosen = rounds.candidate(status.rounds)
    judged = _judge_targets(spec, status, chosen)
    if chosen is not None and not chosen.accepted:
        judged.append(_judge_floor(spec, chosen))
    for constraint in spec.constraints:
        found = measurements.select(constraint, status)
        judged += [_judge_one(spec, constraint, one) for one in found] or [_unmeasured(spec, constraint)]
    return judged


def _judge_targets(
    spec: PruningJobSpec, status: PruningJobStatus, chosen: RoundStatus | None
) -> list[Judged]:
    target = spec.pruning.target
    if target is None:
        value = chosen.outcome.share if chosen else None
        return [_reached(LAYER_RULES, "layer rules reached", 1.0, value)]
    cut = measurements.cuts(status)
    return [
        _reached(f"target{name.capitalize()}", f"{_CUT[name]} cut", share, cut.get(name))
        for name, share in target.shares.items()
    ]


def _reached(metric: str, what: str, bound: float, value: float | None) -> Judged:
    return Judged(
        name=f"{what} >= {_percent(bound)}",
        metric=metric,
        bound=_percent(bound),
        measured=NOT_MEASURED if value is None else _percent(value),
        value=value,
        limit=bound,
        holds=value is not None and value >= bound - _ROUNDING,
    )


def _judge_floor(spec: PruningJobSpec, chosen: RoundStatus) -> Judged:
    return Judged(
        name=f"{_what_drops(spec)} drop after recovery <= {_percent(chosen.floor)} (no round kept it)",
        metric=FLOOR,
        bound=_percent(chosen.floor),
        measured=_percent(chosen.outcome.drop),
        value=chosen.outcome.drop,
        limit=chosen.floor,
        holds=False,
    )


def _judge_one(spec: PruningJobSpec, constraint: Constraint, found: Measurement) -> Judged:
    limit = _limit(constraint)
    return Judged(
        name=_name(spec, constraint, found),
        metric=constraint.metric.value,
        bound=_bound(constraint),
        measured=_show(constraint, found, limit),
        value=found.value,
        limit=limit,
        device=found.device,
        format=found.format,
        backend=found.backend,
        holds=found.value >= limit if is_least(constraint.metric.value) else found.value <= limit,
    )


def _unmeasured(spec: PruningJobSpec, constraint: Constraint) -> Judged:
    asked = Measurement(0.0, constraint.device, constraint.format, constraint.backend)
    return Judged(
        name=_name(spec, constraint, asked),
        metric=constraint.metric.value,
        bound=_bound(constraint),
        measured=NOT_MEASURED,
        limit=_limit(constraint),
        device=constraint.device,
        format=constraint.format,
        backend=constraint.backend,
        holds=False,
    )


def _bound(constraint: Constraint) -> str:
    return constraint.min or constraint.max or ""


def _limit(constraint: Constraint) -> float:
    text = _bound(constraint)
    if text.endswith("%"):
        return parse_percent(text)
    if constraint.metric in (Metric.LATENCY_P50, Metric.LATENCY_P90):
        return parse_duration(text)
    if constraint.metric in (Metric.MODEL_SIZE, Metric.PEAK_MEMORY):
        return float(parse_bytes(text))
    return parse_factor(text) if constraint.metric is Metric.SPEEDUP else parse_count(text)


def _what_drops(spec: PruningJobSpec) -> str:
    """Name the metric in words about its drop; what was measured without labels is no accuracy."""
    return "accuracy" if spec.has_labels else "agreement"


def _name(spec: PruningJobSpec, constraint: Constraint, found: Measurement) -> str:
    metric = constraint.metric.value
    if constraint.metric is Metric.ACCURACY_DROP and not spec.has_labels:
        metric = f"{_what_drops(spec)} drop ({metric})"
    sign = ">=" if is_least(constraint.metric.value) else "<="
    kind = target_name(found.format, found.backend)
    where = f" on {found.device}" if found.device else ""
    return f"{metric} {sign} {_bound(constraint)}{where}" + (f" ({kind})" if kind else "")


def _show(constraint: Constraint, found: Measurement, limit: float) -> str:
    """Write a measurement with its interval; one that holds and whose interval does not is said to."""
    text = show_measured(constraint.metric.value, _bound(constraint), found.value)
    if found.interval is None:
        return text
    low, high = (show_measured(constraint.metric.value, _bound(constraint), end) for end in found.interval)
    noise = ", holds by less than its noise" if found.value <= limit < found.interval[1] else ""
    return f"{text} (95 %: {low} to {high}){noise}"


def _percent(value: float) -> str:
    return f"{100 * value:.4g}%"


def _shortfall(one: Judged) -> str:
    return f"{one.name}: {one.measured}" + (f", {one.margin}" if one.margin else "")


def _reason(failed: list[Judged]) -> Reason:
    """Name the worst: a miss that was measured says more than a number that is missing."""
    measured = [one for one in failed if one.value is not None]
    if not measured:
        return Reason.NOT_MEASURED
    if any(one.metric.startswith("target") or one.metric == LAYER_RULES for one in measured):
        return Reason.TARGET_NOT_REACHED
    return Reason.CONSTRAINTS_NOT_MET
