"""Charts: the picture says what the numbers say, also at the edges."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur_api.results import LatencySamples, Point, Width
from secateur_api.spec import Evaluation
from secateur_jobs.report.charts import svg
from secateur_jobs.report.charts.curves import bar, curve, shared_cap
from secateur_jobs.report.charts.latency import beyond, distribution
from secateur_jobs.report.charts.rounds import cut_chart, recovery_chart
from secateur_jobs.report.evidence import Evidence, Measured, gather
from secateur_jobs.runtime.store import Store
from tests.report_job import SampleJob


def _evidence(job: SampleJob, folder: Path) -> Evidence:
    store = Store(folder.as_uri())
    return gather(store, job.write(store))


def _of_class(markup: str, tag: str, style: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(markup).iter(tag) if e.get("class") == style]


def _point(ratio: float, loss: float) -> Point:
    return Point(group="g", ratio=ratio, metric=1 - loss, loss=loss, seconds=0.1)


@given(st.floats(-100, 100), st.floats(1e-4, 1e4), st.integers(1, 12))
def test_ticks_are_round_few_and_inside(low: float, width: float, count: int) -> None:
    high = low + width
    found = svg.ticks(low, high, count)
    slack = width * 1e-6
    assert all(low - slack <= tick <= high + slack for tick in found)
    assert len(found) <= count + 1
    steps = {round((b - a) / width, 6) for a, b in itertools.pairwise(found)}
    assert len(steps) <= 1 or max(steps) - min(steps) < 1e-4


def test_scale_maps_ends_and_middle() -> None:
    y = svg.Scale(0, 10, 100, 0)
    assert (y(0), y(5), y(10)) == (100, 50, 0)
    assert math.isfinite(svg.Scale(3, 3, 0, 1)(3))


def test_widths_are_drawn_to_scale() -> None:
    whole, kept = ElementTree.fromstring(bar(Width(layer="conv1", before=64, after=48), 128)).iter("rect")
    assert float(whole.get("width", "")) == 200
    assert float(kept.get("width", "")) == 150


def test_a_curve_starts_at_zero_and_marks_the_chosen_ratio() -> None:
    points = [_point(0.5, 0.1), _point(0.9, 0.9)]
    markup = curve("g", points, cap=0.3, chosen=0.5)
    (mark,) = _of_class(markup, "line", "mark")
    (line,) = _of_class(markup, "polyline", "curve")
    first, middle, _ = [tuple(map(float, p.split(","))) for p in line.get("points", "").split()]
    assert middle[0] == float(mark.get("x1", ""))
    assert first[1] > middle[1]
    assert not _of_class(curve("g", points, cap=0.3, chosen=None), "line", "mark")


def test_bounds_of_a_point_are_drawn_where_there_are_any() -> None:
    bounded = _point(0.5, 0.1).model_copy(update={"low": 0.05, "high": 0.2})
    markup = curve("g", [bounded, _point(0.9, 0.25)], cap=0.3, chosen=None)
    (bar,) = _of_class(markup, "line", "bounds")
    (line,) = _of_class(markup, "polyline", "curve")
    x, y = map(float, line.get("points", "").split()[1].split(","))
    assert float(bar.get("x1", "")) == float(bar.get("x2", "")) == x
    assert float(bar.get("y2", "")) < y < float(bar.get("y1", ""))


@pytest.mark.parametrize(("losses", "cap"), [([], 0.02), ([-0.01], 0.02), ([0.1], 0.105), ([0.95], 0.3)])
def test_curves_share_a_scale_that_shows_where_ratios_are_chosen(losses: list[float], cap: float) -> None:
    assert shared_cap({"g": [_point(0.5, loss) for loss in losses]}) == pytest.approx(cap)


def test_rolled_back_rounds_differ_in_shape(tmp_path: Path) -> None:
    rounds = _evidence(SampleJob(rounds=(True, False, True)), tmp_path).rounds
    cut = cut_chart(rounds, "macs", 0.5)
    assert len(_of_class(cut, "rect", "fill-accent")) == 2
    assert len(_of_class(cut, "rect", "outline")) == 1
    recovery = recovery_chart(rounds, 0.98, Evaluation())
    assert len(_of_class(recovery, "circle", "hollow-strong")) == 1
    assert "97.93%" in recovery


def test_forty_rounds_do_not_write_over_each_other(tmp_path: Path) -> None:
    rounds = _evidence(SampleJob(rounds=(True,) * 40), tmp_path).rounds
    labels = [e.text for e in _of_class(cut_chart(rounds, "params", None), "text", "tick")]
    assert "1" in labels
    assert len(labels) < 25


def test_floor_lies_above_the_baseline_where_less_is_better(tmp_path: Path) -> None:
    rounds = _evidence(SampleJob(rounds=(True,)), tmp_path).rounds
    for goal, below in (("maximize", True), ("minimize", False)):
        evaluation = Evaluation.model_validate({"metric": "m:f", "goal": goal})
        markup = recovery_chart(rounds, 0.98, evaluation)
        (floor,), (base,) = _of_class(markup, "line", "dashed"), _of_class(markup, "line", "baseline")
        assert (float(floor.get("y1", "")) > float(base.get("y1", ""))) is below


def test_slow_outliers_are_counted_not_drawn(tmp_path: Path) -> None:
    outcome = _evidence(SampleJob(), tmp_path).measured[0].outcome
    samples = LatencySamples(baseline_seconds=[0.004] * 399 + [9.0], pruned_seconds=[0.002] * 400)
    measured = Measured(outcome, samples)
    count, end = beyond(measured)
    assert (count, end) == (1, pytest.approx(0.004))
    ElementTree.fromstring(distribution(measured))


def test_stalls_of_a_busy_machine_do_not_flatten_the_distributions(tmp_path: Path) -> None:
    outcome = _evidence(SampleJob(), tmp_path).measured[0].outcome
    before, after = [2e-4] * 190 + [8e-3] * 10, [1e-4] * 195 + [8e-3] * 5
    measured = Measured(outcome, LatencySamples(baseline_seconds=before, pruned_seconds=after))
    assert beyond(measured) == (15, pytest.approx(4e-4))


def test_equal_samples_still_make_a_picture(tmp_path: Path) -> None:
    outcome = _evidence(SampleJob(), tmp_path).measured[0].outcome
    same = LatencySamples(baseline_seconds=[3e-4] * 200, pruned_seconds=[3e-4] * 200)
    markup = distribution(Measured(outcome, same))
    assert "nan" not in markup
    assert "latency, us" in markup
