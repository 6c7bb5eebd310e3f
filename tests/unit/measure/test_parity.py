"""When a converted model counts as the same model."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.conditions import Reason
from secateur_jobs.conversion.parity import TOLERANCE, measure
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.outputs import rebuilt

BATCHES = [[np.array([[1.0, -4.0]], "float32")], [np.array([[2.0, 0.5]], "float32")]]
REFERENCE = [rebuilt("0", batch) for batch in BATCHES]


def moved(by: float) -> list[list[np.ndarray]]:
    return [[output + np.float32(by) for output in batch] for batch in BATCHES]


def test_the_difference_is_relative_to_the_largest_output() -> None:
    found = measure(REFERENCE, moved(2e-4), "the model")
    assert found.max_abs == pytest.approx(2e-4, rel=1e-2)
    assert found.max_rel == pytest.approx(2e-4 / 4, rel=1e-2)
    assert found.tolerance == TOLERANCE
    assert found.samples == 2


def test_a_small_output_is_not_hidden_by_a_large_one() -> None:
    large = np.full((1, 2), 1e6, "float32")
    small = np.full((1, 2), 1e-3, "float32")
    with pytest.raises(InvalidInput, match="output 1 differs"):
        measure([rebuilt(["0", "1"], [large, small])], [[large, small * 1.01]], "the model")


@pytest.mark.parametrize(
    ("converted", "message"),
    [
        (moved(0.1), "output 0 differs from Paddle's by 0.025"),
        (moved(float("nan")), "output 0 is not finite"),
        (moved(float("inf")), "output 0 is not finite"),
        ([[b[0].T] for b in BATCHES], r"output 0 has shape \[2, 1\], Paddle's \[1, 2\]"),
        ([[], []], "has 0 outputs, Paddle's model 1: 0"),
    ],
)
def test_another_model_is_refused(converted: list[list[np.ndarray]], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        measure(REFERENCE, converted, "the pruned model as onnx")
    assert caught.value.reason is Reason.PARITY_MISSED
    assert caught.value.message.startswith("the pruned model as onnx")


def test_outputs_of_zeros_must_stay_zeros() -> None:
    zeros = [[np.zeros((1, 2), "float32")]]
    assert measure([rebuilt("0", zeros[0])], zeros, "the model").max_rel == 0
    with pytest.raises(InvalidInput):
        measure([rebuilt("0", zeros[0])], [[np.full((1, 2), 1e-3, "float32")]], "the model")
