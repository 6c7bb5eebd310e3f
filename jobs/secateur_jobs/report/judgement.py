"""The verdict in words: what the control plane concluded, and by how much each bound holds or is missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from secateur_api.results import PointSource
from secateur_api.status import NOT_MEASURED, Judged
from secateur_jobs.measure.statistics import relative_drop
from secateur_jobs.report import numerals
from secateur_jobs.report.evidence import Evidence

NO_LABELS = (
    "No labels were seen: the numbers are agreement with the unpruned model, how often the pruned one gives "
    "its answers. They do not say how often either is right."
)
State = Literal["Succeeded", "Failed", "Not judged"]


@dataclass(frozen=True)
class Headline:
    """What a reader sees first."""

    state: State
    sentence: str
    """The result in one sentence, from measured numbers only."""
    misses: list[str]
    """One line for each bound that does not hold."""
    note: str | None
    """Which model the page shows, where that is not plain."""


def headline(evidence: Evidence) -> Headline:
    """Put the verdict and its numbers into words."""
    verdict = evidence.verdict
    gains = ", ".join(_gains(evidence))
    if verdict is None:
        return Headline("Not judged", gains or "No round was finished.", [], _which(evidence))
    if verdict.holds:
        return Headline("Succeeded", gains or verdict.message, [], None)
    misses = [miss(judged) for judged in verdict.judged if not judged.holds]
    if verdict.message and not misses:
        misses = [verdict.message]
    return Headline("Failed", gains or "No model could be measured.", misses, _which(evidence))


def without_labels(evidence: Evidence) -> str | None:
    """Say what it means that no labels were seen; None where there were."""
    return None if evidence.spec.has_labels else NO_LABELS


def chosen_by_what_judges(evidence: Evidence) -> str | None:
    """Say which choices read the evaluation set, on which the drop is measured too; None where none did.

    That is where no training items could be held back to choose by.

    Such a choice makes the drop look better than it is on other data, by an amount that was not measured.
    """
    measured = (PointSource.MEASURED, PointSource.BEYOND)
    choices = []
    if any(point.source in measured for points in evidence.points.values() for point in points):
        choices.append("the widths, by the sensitivity curves")
    if any(found.gate is not None and not found.gate.accepted for found in evidence.rounds):
        choices.append("the rounds to continue from, by the gate")
    if evidence.model is None or evidence.preflight.held is not None or not choices:
        return None
    return (
        f"The evaluation set chose {' and '.join(choices)}, and it judges: on other data the drop "
        "may be larger. The interval of the drop does not include this."
    )


def miss(judged: Judged) -> str:
    """Say which bound is missed, what was measured, and by how much."""
    if judged.value is None:
        return f"{judged.name}: {NOT_MEASURED}"
    return f"{judged.name}: measured {judged.measured}, {judged.margin}"


def _gains(evidence: Evidence) -> list[str]:
    if evidence.model is None:
        return []
    outcome, evaluation = evidence.model.outcome, evidence.spec.evaluation
    said = [_less(outcome.cut_macs, "MACs"), _less(outcome.cut_params, "parameters")]
    for measured in evidence.measured[:1]:
        run = measured.outcome
        said.append(f"{numerals.factor(run.speedup)} as fast on {run.device}")
        said.append(_drop(run.drop, f"{numerals.metric_name(evaluation)} of the converted model"))
    if not evidence.measured:
        drop = relative_drop(evidence.preflight.baseline.metric, outcome.numbers.metric, evaluation.goal)
        said.append(_drop(drop, numerals.metric_name(evaluation)))
    return said


def _less(cut: float, what: str) -> str:
    return f"{numerals.share(abs(cut))} {'fewer' if cut >= 0 else 'more'} {what}"


def _drop(drop: float, what: str) -> str:
    size = numerals.share(abs(drop), 2)
    if not size.strip("0.%"):
        return f"{what} unchanged"
    return f"{what} {size} {'worse' if drop > 0 else 'better'}"


def _which(evidence: Evidence) -> str | None:
    if evidence.model is None:
        return None
    number = evidence.model.outcome.number
    if evidence.verdict is None:
        return f"The numbers are those of round {number}; no verdict was reached when this was written."
    return f"The numbers are those of the nearest model, from round {number}; it was kept."
