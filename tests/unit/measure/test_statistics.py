"""Percentiles and the speed-up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur_jobs.measure.statistics import percentile, speedup


def test_percentiles_are_interpolated() -> None:
    samples = [float(n) for n in range(1, 12)]
    assert percentile(samples, 50) == 6.0
    assert percentile(samples, 90) == 10.0
    assert percentile([1.0, 2.0], 50) == 1.5


def test_a_slow_minute_that_meets_both_models_does_not_change_the_speedup() -> None:
    quiet = [0.002] * 100, [0.001] * 100
    # the machine slows down in the middle of one pair
    slow = [0.006] * 101, [0.001] + [0.003] * 100
    assert speedup(*quiet) == pytest.approx(2.0)
    assert speedup(quiet[0] + slow[0], quiet[1] + slow[1]) == pytest.approx(2.0)


@given(st.lists(st.floats(1e-6, 1e3), min_size=1), st.floats(0.01, 100))
def test_a_model_that_is_always_faster_by_a_factor_has_that_speedup(
    samples: list[float], factor: float
) -> None:
    assert speedup([s * factor for s in samples], samples) == pytest.approx(factor)
