"""The ridge regression of removed channels on kept ones, on numbers."""

from __future__ import annotations

import numpy as np

from secateur_jobs.pruning.least_squares import error, fit

KEEP = np.array([True, True, False, True, False])


def moments(x: np.ndarray) -> np.ndarray:
    return x.T @ x


def inputs(samples: int, seed: int, noise: float = 0.0) -> np.ndarray:
    """Return inputs whose channels 2 and 4 are sums of the others, and noise."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((samples, 5))
    x[:, 2] = 2 * x[:, 0] - x[:, 1] + noise * x[:, 2]
    x[:, 4] = x[:, 3] + 0.5 * x[:, 0] + noise * x[:, 4]
    return x


def test_what_is_a_sum_of_kept_channels_is_restored() -> None:
    weights = np.random.default_rng(1).standard_normal((5, 7))
    x = inputs(200, 2)
    new = fit(weights, KEEP, moments(x[:150]), moments(x[150:]))
    assert new is not None
    assert np.abs(x[:, KEEP] @ new - x @ weights).max() < 0.02


def test_the_error_is_that_of_the_outputs() -> None:
    random = np.random.default_rng(3)
    weights, stand_in, x = random.standard_normal((5, 7)), random.standard_normal((3, 2)), inputs(50, 4, 1.0)
    lost = weights[~KEEP]
    new = weights[KEEP] + stand_in @ lost
    expected = np.square(x[:, KEEP] @ new - x @ weights).sum()
    assert np.isclose(error(stand_in, lost, KEEP, moments(x)), expected)


def test_with_noise_it_is_better_than_nothing_on_new_samples() -> None:
    weights = np.random.default_rng(1).standard_normal((5, 7))
    x, others = inputs(200, 5, noise=0.5), inputs(500, 6, noise=0.5)
    new = fit(weights, KEEP, moments(x[:150]), moments(x[150:]))
    assert new is not None
    full = others @ weights
    without = np.square(others[:, KEEP] @ weights[KEEP] - full).sum()
    assert np.square(others[:, KEEP] @ new - full).sum() < 0.3 * without


def test_a_fit_that_other_samples_contradict_is_none() -> None:
    weights = np.random.default_rng(1).standard_normal((5, 7))
    x = inputs(200, 7)
    contrary = x.copy()
    contrary[:, ~KEEP] *= -1
    assert fit(weights, KEEP, moments(x), moments(contrary)) is None


def test_silent_channels_need_no_fit() -> None:
    zeros = np.zeros((5, 5))
    assert fit(np.ones((5, 2)), KEEP, zeros, zeros) is None


def test_moments_that_rounding_made_indefinite_get_a_larger_ridge() -> None:
    weights = np.random.default_rng(1).standard_normal((5, 7))
    x = inputs(200, 8)
    x[:, 1] = x[:, 2] = x[:, 0]  # two kept channels that are one
    rounded = moments(x[:150])
    rounded -= 5e-4 * np.mean(np.diag(rounded)) * np.eye(5)
    assert np.linalg.eigvalsh(rounded).min() < 0
    new = fit(weights, KEEP, rounded, moments(x[150:]))
    assert new is not None
    assert np.abs(x[:, KEEP] @ new - x @ weights).max() < 0.2
