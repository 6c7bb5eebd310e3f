"""The rounds: how much each one cut, and how the metric fell and recovered."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element

from markupsafe import Markup

from secateur_api.results import RoundOutcome
from secateur_api.spec import Evaluation, Goal
from secateur_jobs.report import numerals
from secateur_jobs.report.charts import svg
from secateur_jobs.report.evidence import Round

_WIDTH, _HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 10, 14, 30
_MOST_LABELS = 16


def cut_chart(rounds: list[Round], quantity: str, target: float | None) -> Markup:
    """Draw the share of MACs, parameters or bytes (``quantity``) cut after each round, and the target."""
    cuts = [_cut(r.outcome, quantity) for r in rounds]
    name = {"params": "parameters", "size": "checkpoint size"}.get(quantity, "MACs")
    said = ", ".join(f"{r.outcome.number}: {numerals.share(c)}" for r, c in zip(rounds, cuts, strict=True))
    picture = svg.drawing(_WIDTH, _HEIGHT, f"{name} cut after each round ({said})")
    high = max([*cuts, target or 0.0, 0.01]) * 1.12
    y = svg.Scale(min([*cuts, 0.0]), high, _HEIGHT - _BOTTOM, _TOP)
    _rows(picture, y, lambda value: numerals.share(value, 0 if high > 0.05 else 1))
    slot = (_WIDTH - _LEFT - _RIGHT) / len(rounds)
    breadth = min(slot * 0.6, 44)
    for index, (found, cut) in enumerate(zip(rounds, cuts, strict=True)):
        middle = _LEFT + (index + 0.5) * slot
        top, foot = min(y(cut), y(0)), max(y(cut), y(0))
        style = "outline" if _rolled_back(found) else "fill-accent"
        svg.box(picture, middle - breadth / 2, top, breadth, foot - top, style)
        _round_label(picture, middle, index, rounds)
    if target is not None:
        svg.line(picture, _LEFT, y(target), _WIDTH - _RIGHT, y(target), "dashed")
        svg.text(picture, _LEFT + 4, y(target) - 5, f"target {numerals.share(target, 0)}", "note")
    return svg.markup(picture)


def _cut(outcome: RoundOutcome, quantity: str) -> float:
    return {"params": outcome.cut_params, "size": outcome.cut_size}.get(quantity, outcome.cut_macs)


def recovery_chart(rounds: list[Round], baseline: float, evaluation: Evaluation) -> Markup:
    """Draw the metric after the cut, after repair and after recovery, with the baseline and each floor."""
    name = numerals.metric_name(evaluation)
    stages = [(r.outcome.metric_cut, r.outcome.metric_repaired, r.outcome.recovered) for r in rounds]
    floors = [_floor_value(r, baseline, evaluation) for r in rounds]
    values = [baseline, *(v for three in stages for v in three), *(f for f in floors if f is not None)]
    pad = (max(values) - min(values) or abs(baseline) or 1.0) * 0.08
    y = svg.Scale(min(values) - pad, max(values) + pad, _HEIGHT - _BOTTOM, _TOP)
    said = ", ".join(
        f"{r.outcome.number}: {numerals.metric_value(r.outcome.recovered, evaluation)}" for r in rounds
    )
    picture = svg.drawing(_WIDTH, _HEIGHT, f"{name} after each round's recovery ({said})")
    _rows(picture, y, lambda value: _short(value, evaluation))
    svg.line(picture, _LEFT, y(baseline), _WIDTH - _RIGHT, y(baseline), "baseline")
    slot = (_WIDTH - _LEFT - _RIGHT) / len(rounds)
    for index, (found, three) in enumerate(zip(rounds, stages, strict=True)):
        middle = _LEFT + (index + 0.5) * slot
        floor = floors[index]
        if floor is not None:
            svg.line(picture, middle - slot * 0.35, y(floor), middle + slot * 0.35, y(floor), "dashed")
        svg.line(picture, middle, y(min(three)), middle, y(max(three)), "stem")
        svg.dot(picture, middle, y(three[0]), 4, "hollow")
        svg.diamond(picture, middle, y(three[1]), 5, "hollow")
        svg.dot(picture, middle, y(three[2]), 5, "hollow-strong" if _rolled_back(found) else "fill-accent")
        _round_label(picture, middle, index, rounds)
    return svg.markup(picture)


def _rolled_back(found: Round) -> bool:
    return found.gate is not None and not found.gate.accepted


def _floor_value(found: Round, baseline: float, evaluation: Evaluation) -> float | None:
    if found.gate is None:
        return None
    allowed = abs(baseline) * found.gate.floor
    return baseline - allowed if evaluation.goal is Goal.MAXIMIZE else baseline + allowed


def _short(value: float, evaluation: Evaluation) -> str:
    text = numerals.metric_value(value, evaluation)
    return text.replace(".00%", "%")


def _rows(picture: Element, y: svg.Scale, show: Callable[[float], str]) -> None:
    for value in svg.ticks(y.low, y.high, 5):
        svg.line(picture, _LEFT, y(value), _WIDTH - _RIGHT, y(value), "grid")
        svg.text(picture, _LEFT - 6, y(value) + 4, show(value), "tick", "end")


def _round_label(picture: Element, middle: float, index: int, rounds: list[Round]) -> None:
    if index % (1 + len(rounds) // _MOST_LABELS) == 0:
        mark = " \N{MULTIPLICATION X}" if _rolled_back(rounds[index]) else ""
        svg.text(picture, middle, _HEIGHT - 9, f"{rounds[index].outcome.number}{mark}", "tick", "middle")
