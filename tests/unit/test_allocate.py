"""Allocation: the target is reached, narrowly, within the limits, at little predicted loss."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur_jobs.pruning.allocate import Choice, allocate, choice, least_cost
from secateur_jobs.pruning.cost import CostModel, Part
from secateur_jobs.pruning.curves import Curve
from secateur_jobs.pruning.widths import kept_width, ladder


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


def test_the_cost_model_is_exact_for_a_chain():
    # 3 -> a(8) -> b(16) -> 10
    model = CostModel(
        ["a", "b"], [Part(24, {"a": 1}, {}), Part(128, {"b": 1}, {"a": 1}), Part(160, {}, {"b": 1})], 7
    )
    assert model.total({}) == 24 + 128 + 160 + 7
    assert model.total({"a": 0.5, "b": 0.25}) == 4 * 3 + 4 * 4 + 4 * 10 + 7
    assert list(model.totals({"a": 0.5}, "b", [1.0, 0.25])) == [12 + 64 + 160 + 7, 12 + 16 + 40 + 7]
    assert CostModel([], [], 5).total({}) == 5


def test_a_group_on_both_axes_counts_twice():
    model = CostModel(["trunk"], [Part(64, {"trunk": 1}, {"trunk": 1})])
    assert model.total({"trunk": 0.5}) == 16
    assert list(model.totals({}, "trunk", [0.5])) == [16]


ratios = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@st.composite
def nets(draw):
    """A chain of layers with random widths, curves (with noise), caps and alignment."""
    count = draw(st.integers(1, 7))
    align = draw(st.sampled_from([1, 4, 8]))
    widths = draw(st.lists(st.integers(8, 96), min_size=count, max_size=count))
    names = [f"g{i}" for i in range(count)]
    parts = [Part(widths[0] * 27, {names[0]: 1}, {})]
    for (a, wa), (b, wb) in itertools.pairwise(zip(names, widths, strict=True)):
        parts.append(Part(wa * wb * 9, {b: 1}, {a: 1}))
    parts.append(Part(widths[-1] * 10, {}, {names[-1]: 1}))
    choices = {}
    for name, width in zip(names, widths, strict=True):
        curve = Curve(
            list(zip(ratios, draw(st.lists(st.floats(-0.1, 1), min_size=9, max_size=9)), strict=True))
        )
        choices[name] = choice(width, width, draw(st.sampled_from([0.0, 0.1, 0.5, 0.75])), align, curve)
    return choices, CostModel(names, parts, draw(st.sampled_from([0, 500.0])))


@settings(max_examples=150, deadline=None)
@given(nets(), st.floats(0.05, 0.95))
def test_the_target_is_reached_within_one_aligned_step(net, target):
    choices, cost = net
    budget = (1 - target) * cost.total({})
    widths = allocate(choices, {}, cost, budget)
    kept = {name: widths[name] / choices[name].channels for name in choices}
    assert all(widths[name] in choices[name].widths for name in choices)
    if least_cost(choices, {}, cost) > budget:
        assert all(widths[name] == choices[name].widths[-1] for name in choices)
        return
    assert cost.total(kept) <= budget * (1 + 1e-6)
    for name, option in choices.items():  # no single step could be given back
        position = option.widths.index(widths[name])
        if position:
            assert cost.totals(kept, name, [option.kept(position - 1)])[0] > budget


@settings(max_examples=60, deadline=None)
@given(nets(), st.floats(0.1, 0.8))
def test_the_plan_is_near_the_best_there_is(net, target):
    choices, cost = net
    budget = (1 - target) * cost.total({})
    if least_cost(choices, {}, cost) > budget:
        return
    combinations = 1
    for option in choices.values():
        combinations *= len(option.widths)
    if combinations > 3000:
        return

    def loss(widths: dict[str, int]) -> float:
        return sum(o.losses[o.widths.index(widths[name])] for name, o in choices.items())

    best = min(
        loss(dict(zip(choices, widths, strict=True)))
        for widths in itertools.product(*(option.widths for option in choices.values()))
        if cost.total({n: w / choices[n].channels for n, w in zip(choices, widths, strict=True)}) <= budget
    )
    assert loss(allocate(choices, {}, cost, budget)) <= best + 0.35 * max(best, 0.3)


def test_insensitive_groups_are_cut_first():
    cost = CostModel(["soft", "hard"], [Part(100, {"soft": 1}, {}), Part(100, {"hard": 1}, {})])
    soft = choice(64, 64, 0.75, 8, Curve([(0.9, 0.01)]))
    hard = choice(64, 64, 0.75, 8, Curve([(0.1, 0.5), (0.9, 1.0)]))
    assert allocate({"soft": soft, "hard": hard}, {}, cost, 150) == {"soft": 32, "hard": 64}


def test_where_curves_say_nothing_the_cut_is_even():
    names = ["a", "b", "c", "d"]
    cost = CostModel(names, [Part(100, {name: 1}, {}) for name in names])
    choices = {name: choice(64, 64, 0.75, 8, Curve([(0.9, 0.0)])) for name in names}
    assert set(allocate(choices, {}, cost, 200).values()) == {32}


def test_a_later_round_never_widens():
    cost = CostModel(["a", "b"], [Part(100, {"a": 1}, {}), Part(100, {"b": 1}, {})])
    curve = Curve([(0.9, 0.1)])
    choices = {"a": choice(64, 24, 0.75, 8, curve), "b": choice(64, 64, 0.75, 8, curve)}
    assert allocate(choices, {}, cost, 180) == {"a": 24, "b": 64}  # the budget holds already
    assert allocate(choices, {}, cost, 100)["a"] <= 24


def test_fixed_ratios_count_towards_the_target():
    cost = CostModel(["rule", "open"], [Part(100, {"rule": 1}, {}), Part(100, {"open": 1}, {})])
    choices = {"open": choice(64, 64, 0.75, 8, Curve([(0.9, 0.5)]))}
    assert allocate(choices, {"rule": 0.5}, cost, 150) == {"open": 64}
    assert allocate(choices, {"rule": 0.75}, cost, 150) == {"open": 48}


def test_a_bump_in_the_curve_does_not_stop_the_descent():
    cost = CostModel(["bump", "steep"], [Part(100, {"bump": 1}, {}), Part(100, {"steep": 1}, {})])
    bump = Choice(8, (8, 7, 6, 5, 4, 3, 2), (0, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3))
    steep = Choice(8, (8, 7, 6, 5, 4, 3, 2), (0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2))
    assert allocate({"bump": bump, "steep": steep}, {}, cost, 125) == {"bump": 2, "steep": 8}
