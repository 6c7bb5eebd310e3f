"""Which weights get more bits, decided by what was measured."""

from __future__ import annotations

import pytest

from secateur_api.spec import Quantize, WeightBits
from secateur_jobs.precision.change import Change
from secateur_jobs.precision.decide import Decision, decide, missed
from secateur_jobs.precision.ladder import Bits, by_cost, fewest

NAMES = ["a", "b", "c", "d", "e"]
HARM = {"a": 0.001, "b": 0.02, "c": 0.0, "d": 0.01, "e": 0.0}
"""The drop that each weight causes in 8 bits."""


_NEAR = Change(0.0, 1.0, 1e-5, 100)


class Model:
    """A model whose drops add up, and what it was asked."""

    def __init__(self, middle: Change = _NEAR, hidden: float = 0.0, small: Change | None = None) -> None:
        self.middle, self.hidden, self.small = middle, hidden, small
        self.tried: list[Bits] = []
        self.ranked = 0

    def chooses(self, bits: Bits) -> float:
        self.tried.append(bits)
        return sum(HARM[name] for name, width in bits.items() if width == 8)

    def judges(self, bits: Bits) -> Change:
        if set(bits.values()) == {16}:
            return self.middle
        if self.small is not None:
            return self.small
        drop = sum(HARM[name] for name, width in bits.items() if width == 8) + self.hidden
        return Change(drop, 1 - drop, drop, 100)

    def costs(self) -> dict[str, float]:
        self.ranked += 1
        return HARM

    def decide(self, asked: WeightBits, max_drop: float) -> Decision:
        return decide(asked, NAMES, max_drop, self.chooses, self.judges, self.costs)


def test_what_fits_is_not_ranked() -> None:
    model = Model()
    assert model.decide(WeightBits.AUTO, 0.05).bits == dict.fromkeys(NAMES, 8)
    assert model.ranked == 0


def test_the_costliest_get_16_bits_and_no_other() -> None:
    found = Model().decide(WeightBits.AUTO, 0.003)
    assert found.bits == {"a": 8, "b": 16, "c": 8, "d": 16, "e": 8}
    assert set(found.why) == {"b", "d"}
    assert "0.3%" in found.why["b"]


def test_the_evaluation_set_has_the_last_word() -> None:
    found = Model(hidden=0.004).decide(WeightBits.AUTO, 0.003)
    assert found.bits == dict.fromkeys(NAMES, 16)


@pytest.mark.parametrize(
    "middle", [Change(0.0, 0.99, 1e-5, 100), Change(0.01, 1.0, 1e-5, 100), Change(float("nan"), 1.0, 0.0, 9)]
)
def test_32_bits_stay_where_16_change_too_much(middle: Change) -> None:
    found = Model(middle, hidden=1.0).decide(WeightBits.AUTO, 0.003)
    assert found.bits == {}
    assert "16 bits" in found.missed


@pytest.mark.parametrize(
    ("asked", "change"),
    [
        (WeightBits.INT8, Change(0.0, 1.0, 0.0, 100)),
        (WeightBits.INT16, Change(0.0, 1.0, 2e-3, 100)),
        (WeightBits.INT16, Change(0.0, 0.998, 1e-4, 100)),
        (WeightBits.INT16, Change(0.0, 1.0, float("inf"), 100)),
    ],
)
def test_what_is_asked_for_and_does_not_hold_is_missed(asked: WeightBits, change: Change) -> None:
    found = Model(change).decide(asked, 0.003)
    assert found.bits == {}
    assert found.missed
    assert found.costs == HARM


@pytest.mark.parametrize(
    "small", [Change(float("nan"), float("nan"), float("inf"), 100), Change(0.0, 1.0, float("inf"), 100)]
)
def test_what_answers_no_numbers_is_never_taken(small: Change) -> None:
    assert Model(small=small).decide(WeightBits.INT8, 0.003).missed
    assert Model(small=small).decide(WeightBits.AUTO, 0.05).bits == dict.fromkeys(NAMES, 16)


def test_a_miss_says_each_bound() -> None:
    decision = Model(Change(0.0, 1.0, 2e-3, 100)).decide(WeightBits.INT16, 0.003)
    message = missed(decision, Quantize(weights=WeightBits.INT16), {"b": "block.conv"}).message
    assert "allowed is a drop of 0.3%, 99.9% of the answers must agree, and outputs be within" in message
    assert "The costliest layers are block.conv, d, a;" in message
    assert "must agree" not in missed(decision, Quantize(weights=WeightBits.INT8), {}).message


def test_what_is_asked_for_and_holds() -> None:
    assert Model().decide(WeightBits.INT16, 0.0).bits == dict.fromkeys(NAMES, 16)
    assert Model().decide(WeightBits.INT8, 0.05).bits == dict.fromkeys(NAMES, 8)


@pytest.mark.parametrize("needed", [1, 2, 3, 7, 31, 32])
def test_the_fewest_are_found(needed: int) -> None:
    asked: list[int] = []

    def holds(count: int) -> bool:
        asked.append(count)
        return count >= needed

    assert fewest(32, holds) == needed
    assert len(asked) <= 10
    assert fewest(needed - 1, holds) is None if needed > 1 else True


def test_a_weight_of_unknown_cost_comes_first() -> None:
    assert by_cost(NAMES, {"a": 1.0, "b": 2.0, "d": 0.5, "e": 0.1}) == ["c", "b", "a", "d", "e"]
