"""How many bits each weight gets, by measuring what they change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from secateur_api.conditions import Reason
from secateur_api.spec import Quantize, WeightBits
from secateur_jobs.precision.change import ALIKE, NEAR, Change
from secateur_jobs.precision.ladder import Bits, by_cost, fewest, with_restored
from secateur_jobs.runtime.errors import InvalidInput

_NAMED = 3


@dataclass(frozen=True)
class Decision:
    """The bits of the weights that are stored in fewer than 32."""

    bits: Bits
    why: dict[str, str] = field(default_factory=dict)
    """Of a weight, why it does not get 8 bits."""
    costs: Mapping[str, float] = field(default_factory=dict)
    missed: str = ""
    """Why nothing is stored in fewer bits though something could be."""


def decide(
    asked: WeightBits,
    names: Sequence[str],
    max_drop: float,
    chooses: Callable[[Bits], float],
    judges: Callable[[Bits], Change],
    costs: Callable[[], Mapping[str, float]],
) -> Decision:
    """Return the bits for the weights ``names``.

    ``chooses`` gives a choice's drop on the items that choose, ``judges`` what it changes on the evaluation
    set, which has the last word; ``costs`` is what each weight costs in 8 bits, asked only if not all may
    have 8.
    """
    if not names:
        return Decision({})
    if asked is not WeightBits.AUTO:
        return _as_asked(asked, names, max_drop, judges, costs)
    all_small, all_middle = (dict.fromkeys(names, bits) for bits in (8, 16))
    if chooses(all_small) <= max_drop and judges(all_small).holds(max_drop):
        return Decision(all_small)
    known = costs()
    ordered = by_cost(names, known)
    count = fewest(len(names), lambda k: chooses(with_restored(ordered, k)) <= max_drop)
    bits = all_middle if count is None else with_restored(ordered, count)
    if count not in (None, len(names)) and judges(bits).holds(max_drop):
        reason = f"with it in 8 bits the drop is above {100 * max_drop:.4g}%"
        return Decision(bits, dict.fromkeys(ordered[:count], reason), known)
    found = judges(all_middle)
    if found.is_alike() and found.holds(max_drop):
        return Decision(all_middle, dict.fromkeys(names, "no choice with 8 bits held"), known)
    return Decision({}, {}, known, f"16 bits for all change too much: {found}")


def _as_asked(
    asked: WeightBits,
    names: Sequence[str],
    max_drop: float,
    judges: Callable[[Bits], Change],
    costs: Callable[[], Mapping[str, float]],
) -> Decision:
    bits = 8 if asked is WeightBits.INT8 else 16
    found = judges(dict.fromkeys(names, bits))
    if not found.holds(max_drop) or (bits == 16 and not found.is_near()):
        return Decision({}, costs=costs(), missed=f"{bits} bits for all change too much: {found}")
    return Decision(dict.fromkeys(names, bits), {} if bits == 8 else dict.fromkeys(names, "asked for"))


def missed(decision: Decision, asked: Quantize, layers: Mapping[str, str]) -> InvalidInput:
    """Return the error for weights that change too much in the bits that were asked for."""
    worst = by_cost(list(decision.costs), decision.costs)[:_NAMED]
    named = ", ".join(layers.get(name, name) for name in worst)
    costliest = f" The costliest layers are {named};" if named else ""
    allowed = f"allowed is a drop of {asked.max_drop}"
    if asked.weights is WeightBits.INT16:
        allowed += (
            f", {100 * ALIKE:g}% of the answers must agree, and outputs be within {NEAR:g} of the largest"
        )
    return InvalidInput(
        Reason.PRECISION_MISSED,
        f"spec.quantize.weights: {decision.missed}; {allowed}.{costliest} "
        "weights: auto keeps layers in more bits where these do not hold",
    )
