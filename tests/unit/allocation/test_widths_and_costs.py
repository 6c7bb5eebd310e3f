"""Which widths there are, what they lose, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur_jobs.pruning.cost import CostModel, Part
from secateur_jobs.pruning.widths import Curve, kept_width, ladder


def test_kept_widths_round_the_ratio_down():
    assert kept_width(64, 0.2, 8) == 56
    assert kept_width(64, 0.25, 8) == 48
    assert kept_width(64, 0.0, 8) == 64
    assert kept_width(20, 0.5, 8) == 16
    assert kept_width(20, 0.1, 8) == 20
    assert kept_width(6, 0.9, 8) == 6
    assert kept_width(64, 0.99, 1) == 8  # an eighth stays
    assert kept_width(512, 0.99, 8) == 64


@given(st.integers(1, 4096), st.floats(0, 0.999), st.integers(1, 256))
def test_kept_widths_hold_their_promise(channels, ratio, align):
    width = kept_width(channels, ratio, align)
    assert width == channels or width % align == 0
    assert 1 <= width <= channels
    assert channels - width <= ratio * channels + 1e-6
    assert width >= channels / 8


def test_ladders_go_down_by_aligned_steps():
    assert ladder(20, 8, 8) == [20, 16, 8]
    assert ladder(64, 40, 8) == [64, 56, 48, 40]
    assert ladder(24, 24, 8) == [24]


def test_curves_never_fall_and_start_at_zero():
    curve = Curve([(0.5, 0.2), (0.25, -0.1), (0.75, 0.1)])
    assert [curve(r) for r in (0, 0.25, 0.375, 0.5, 0.75, 0.9)] == pytest.approx([0, 0, 0.1, 0.2, 0.2, 0.2])
    assert curve.end == 0.75


def chain() -> CostModel:
    """3 -> a(8) -> b(16) -> 10."""
    parts = [Part(24, {"a": 1}, {}), Part(128, {"b": 1}, {"a": 1}), Part(160, {}, {"b": 1})]
    return CostModel(["a", "b"], parts, 7)


def test_the_cost_model_is_exact_for_a_chain():
    assert chain().total({}) == 24 + 128 + 160 + 7
    assert chain().total({"a": 0.5, "b": 0.25}) == 4 * 3 + 4 * 4 + 4 * 10 + 7
    assert CostModel([], [], 5).total({}) == 5


def test_a_group_on_both_axes_counts_twice():
    model = CostModel(["trunk"], [Part(64, {"trunk": 1}, {"trunk": 1})])
    assert model.total({"trunk": 0.5}) == 16


def test_an_axis_may_hold_several_groups_and_channels_of_none():
    model = CostModel(["a", "b"], [Part(100, {"a": 0.5, "b": 0.25}, {"b": 0.5})])
    assert model.total({"a": 0.5, "b": 0.2}) == pytest.approx(100 * (1 - 0.25 - 0.2) * (1 - 0.4))


def test_settled_groups_become_part_of_the_rest():
    open_ = chain().over(["b"], {"a": 0.5})
    assert open_.groups == ("b",)
    assert open_.total({"b": 0.25}) == chain().total({"a": 0.5, "b": 0.25})


def test_the_gradient_is_that_of_the_cost():
    kept, step = np.array([0.5, 0.75]), 1e-6
    for index, slope in enumerate(chain().gradient(kept)):
        moved = kept + step * np.eye(2)[index]
        assert (chain().value(moved) - chain().value(kept)) / step == pytest.approx(slope, rel=1e-4)
