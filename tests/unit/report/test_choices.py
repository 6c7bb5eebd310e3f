"""What the evaluation set chose is said where its drop is shown, and only where it chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from secateur_api.results import Held, PointSource
from secateur_jobs.report import card, page
from secateur_jobs.report.evidence import Evidence, gather
from secateur_jobs.report.judgement import chosen_by_what_judges
from secateur_jobs.runtime.store import Store
from tests.report_job import SampleJob

_CURVES = "the widths, by the sensitivity curves"
_GATE = "the rounds to continue from, by the gate"


def _evidence(job: SampleJob, folder: Path) -> Evidence:
    store = Store(folder.as_uri())
    return gather(store, job.write(store))


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (SampleJob(rounds=(True, True)), [_CURVES]),
        (SampleJob(sensitivity=False, rounds=(True, False)), [_GATE]),
        (SampleJob(rounds=(True, False, True)), [_CURVES, _GATE]),
        (SampleJob(sensitivity=False, rounds=(True,)), []),
        (SampleJob(rounds=(), holds=False), []),
    ],
)
def test_page_and_card_say_what_the_evaluation_set_chose(
    job: SampleJob, said: list[str], tmp_path: Path
) -> None:
    evidence = _evidence(job, tmp_path)
    for text in (page.render(evidence).decode(), card.render(evidence).decode()):
        assert [what for what in (_CURVES, _GATE) if what in text] == said
        assert ("on other data the drop may be larger" in text) == bool(said)


def test_nothing_is_said_where_items_were_held_back(tmp_path: Path) -> None:
    evidence = _evidence(SampleJob(rounds=(True, False)), tmp_path)
    assert chosen_by_what_judges(evidence) is not None
    held = evidence.preflight.model_copy(update={"held": Held(metric=0.98, samples=240)})
    evidence = replace(evidence, preflight=held)
    assert chosen_by_what_judges(evidence) is None
    assert "on 240 items of the training data that nothing is trained on" in page.render(evidence).decode()


@pytest.mark.parametrize("source", [PointSource.ESTIMATED, PointSource.IMPORTED])
def test_curves_that_were_not_measured_here_did_not_read_the_set(source: PointSource, tmp_path: Path) -> None:
    evidence = _evidence(SampleJob(rounds=(True,)), tmp_path)
    points = {
        group: [point.model_copy(update={"source": source}) for point in found]
        for group, found in evidence.points.items()
    }
    assert chosen_by_what_judges(replace(evidence, points=points)) is None
