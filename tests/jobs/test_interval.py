"""The interval of a drop covers the true drop, and has a width where no sample differs."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_jobs.measure import statistics


@pytest.mark.parametrize(("lost", "won"), [(0.03, 0.01), (0.0, 0.0), (0.2, 0.15)])
def test_the_interval_of_means_covers_the_true_difference(lost: float, won: float) -> None:
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(600):
        kind = random.random(400)
        baseline = np.where(kind < lost, 1, np.where(kind < lost + won, 0, random.random(400) < 0.9))
        pruned = np.where(kind < lost, 0, np.where(kind < lost + won, 1, baseline))
        low, high = statistics.of_means(baseline, pruned, 1.0)
        covered += low <= lost - won <= high
    assert covered / 600 >= 0.93


def test_no_difference_in_few_samples_is_no_proof_of_none() -> None:
    hits = np.ones(50, bool)
    low, high = statistics.of_means(hits, hits, 1.0)
    assert low < 0 < high
    assert 0.03 < high < 0.05  # by the rule of three 6 %, one-sided
    assert statistics.of_means(np.ones(5000, bool), np.ones(5000, bool), 1.0)[1] < 0.001


def test_several_scores_of_a_sample_are_one_sample() -> None:
    random = np.random.default_rng(5)
    baseline, pruned = random.random((60, 8)), random.random((60, 8))
    means = statistics.of_means(baseline.mean(axis=1), pruned.mean(axis=1), 0.5)
    assert statistics.of_means(baseline, pruned, 0.5) == pytest.approx(means)


def test_a_metric_that_is_no_mean_is_drawn_in_pairs() -> None:
    random = np.random.default_rng(7)
    baseline = random.random((300, 2)) + 1
    pruned = baseline * [0.9, 1.0]
    low, high = statistics.of_values(baseline, pruned, lambda a, b: 1 - b.sum() / a.sum())
    assert low <= 1 - pruned.sum() / baseline.sum() <= high
    assert high - low < 0.01  # what both share does not widen it
    assert statistics.of_values(baseline, pruned, lambda a, b: 1 - b.sum() / a.sum()) == (low, high)
