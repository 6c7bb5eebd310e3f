"""Intervals that hold at every look, on finite populations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from secateur_jobs.pruning.sensitivity.confidence import MeanInterval


def population(worse: float, better: float, size: int = 600) -> np.ndarray:
    """Return differences of hits: 1 where only the uncut net is right, -1 where only the cut one is."""
    values = np.zeros(size)
    values[: round(worse * size)] = 1
    values[size - round(better * size) :] = -1
    return values


def watch(values: np.ndarray, alpha: float, look: int = 60) -> list[MeanInterval]:
    """Return one interval per look; each has seen ``look`` more values than the one before."""
    found = []
    for end in range(look, len(values) + 1, look):
        interval = MeanInterval(len(values), alpha, resolution=0.005)
        for start in range(0, end, look):
            interval.add(values[start : start + look])
        found.append(interval)
    return found


@pytest.mark.parametrize(("worse", "better"), [(0.0, 0.0), (0.03, 0.01), (0.3, 0.1), (0.9, 0.0)])
def test_the_mean_is_missed_no_more_often_than_stated_over_all_looks(worse: float, better: float) -> None:
    random = np.random.default_rng(1)
    values, alpha, missed = population(worse, better), 0.1, 0
    for _ in range(200):
        random.shuffle(values)
        interval = MeanInterval(len(values), alpha, resolution=0.005)
        hit = True
        for start in range(0, len(values), 60):
            interval.add(values[start : start + 60])
            hit = hit and interval.low - 1e-9 <= values.mean() <= interval.high + 1e-9
        missed += not hit
    assert missed <= 200 * alpha


def test_the_whole_population_leaves_no_doubt() -> None:
    values = np.random.default_rng(0).permutation(population(0.2, 0.05))
    last = watch(values, 0.05)[-1]
    assert last.low == last.high == last.mean == pytest.approx(values.mean(), abs=1e-12)


def test_more_samples_never_widen_it() -> None:
    values = np.random.default_rng(0).permutation(population(0.2, 0.05))
    looks = watch(values, 0.05)
    assert all(a.low <= b.low <= b.high <= a.high for a, b in itertools.pairwise(looks))


def test_rare_disagreement_needs_few_samples() -> None:
    random = np.random.default_rng(0)

    def width(worse: float, better: float) -> float:
        interval = watch(random.permutation(population(worse, better, 4000)), 0.001, look=400)[0]
        return interval.high - interval.low

    assert width(0.0, 0.0) < 0.06
    assert width(0.0, 0.0) < width(0.02, 0.02) < width(0.3, 0.3)


def test_scores_between_hit_and_miss_count() -> None:
    values = np.random.default_rng(0).uniform(-0.1, 0.3, 2000)
    interval = watch(values, 0.01, look=1000)[0]
    assert interval.low < values.mean() < interval.high
    assert interval.high - interval.low < 0.1


def test_more_than_the_population_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="11 observations of a population of 10"):
        MeanInterval(10, 0.05, 0.01).add(np.zeros(11))
