"""By how much a bound holds or is missed, in the bound's own unit."""

from __future__ import annotations

import pytest

from secateur_api.status import Judged
from secateur_jobs.report import numerals
from secateur_jobs.report.judgement import miss


def _judged(metric: str, bound: str, value: float | None, limit: float, holds: bool) -> Judged:
    shown = "not measured" if value is None else f"{value:g}"
    return Judged(
        name=f"{metric} {bound}",
        metric=metric,
        bound=bound,
        measured=shown,
        value=value,
        limit=limit,
        holds=holds,
    )


@pytest.mark.parametrize(
    ("metric", "bound", "value", "limit", "holds", "words"),
    [
        ("accuracyDrop", "1%", 0.023, 0.01, False, "1.3 points over"),
        ("accuracyDrop", "1%", -0.002, 0.01, True, "1.2 points to spare"),
        ("latencyP50", "500ms", 0.62, 0.5, False, "120.00 ms over"),
        ("modelSize", "50Mi", 40 * 2**20, 50 * 2**20, True, "10.0 MiB to spare"),
        ("peakMemory", "1Gi", 2**30, 2**30, True, "exactly on the bound"),
        ("macs", "300M", 320e6, 300e6, False, "20.00 M over"),
        ("macs", "50%", 0.48, 0.5, True, "2.0 points to spare"),
        ("speedup", "1.3x", 1.21, 1.3, False, "0.09x short"),
        ("targetMacs", "50%", 0.52, 0.5, True, "2.0 points to spare"),
        ("layerRules", "100%", 0.6, 1.0, False, "40.0 points short"),
        ("floor", "2%", 0.05, 0.02, False, "3.0 points over"),
    ],
)
def test_margin(metric: str, bound: str, value: float, limit: float, holds: bool, words: str) -> None:
    assert _judged(metric, bound, value, limit, holds).margin == words


def test_an_unmeasured_constraint_has_no_margin() -> None:
    judged = _judged("latencyP50", "5ms", None, 0.005, False)
    assert judged.margin == ""
    assert miss(judged) == "latencyP50 5ms: not measured"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (-0.5031, "\N{MINUS SIGN}50.3%"),
        (0.2, "+20.0%"),
        (0.0, "0.0%"),
        (-0.0004, "0.0%"),
        (0.0006, "+0.1%"),
    ],
)
def test_changes_have_a_sign_unless_they_round_to_zero(change: float, words: str) -> None:
    assert numerals.signed_share(change) == words
