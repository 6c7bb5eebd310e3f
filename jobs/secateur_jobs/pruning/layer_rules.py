"""What the user says about single layers: fixed ratios (``pruning.layers``) and caps (``pruning.protect``).

A group has one width, so one rule decides it: the first in the list that matches any of its producers. A
pattern is an fnmatch pattern over structured layer names; one that matches a block stands for all layers in
it, so ``layer1`` and ``layer1.*`` are the same. Rules win over protect, and both over the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from secateur_api.conditions import Reason
from secateur_api.spec import LayerRule, Protect
from secateur_jobs.explain import near
from secateur_jobs.pruning.widths import MAX_RATIO
from secateur_jobs.runtime.errors import InvalidInput


@dataclass
class RuleOutcome:
    """What the rules come to."""

    ratios: dict[str, float] = field(default_factory=dict)
    """Group to the ratio that a rule fixes."""
    notes: list[str] = field(default_factory=list)
    """What the user should know: rules without effect."""


def check_patterns(rules: Sequence[LayerRule], layers: Sequence[str]) -> None:
    """Refuse a pattern that matches none of a net's layers, blocks and others included.

    Raises InvalidInput(PATTERN_MATCHES_NOTHING) naming near layers.
    """
    for index, rule in enumerate(rules):
        if not any(matches(rule.match, layer) for layer in layers):
            raise InvalidInput(
                Reason.PATTERN_MATCHES_NOTHING,
                f"{_field(index, rule)} matches no layer{near(rule.match.rstrip('.*?'), layers)}",
            )


def apply_rules(
    rules: Sequence[LayerRule],
    producers: Mapping[str, Sequence[str]],
    refused: Mapping[str, str],
    layers: Sequence[str],
) -> RuleOutcome:
    """Match rules with groups.

    ``producers``: group to its producing layers; ``refused``: layer to why it cannot be cut; ``layers``:
    every layer of the net, blocks and others included.
    Raises InvalidInput(PATTERN_MATCHES_NOTHING) for a pattern that matches none of them.
    """
    check_patterns(rules, layers)
    outcome = RuleOutcome()
    for index, rule in enumerate(rules):
        matched = [
            group for group, names in producers.items() if any(matches(rule.match, name) for name in names)
        ]
        open_ones = [group for group in matched if group not in outcome.ratios]
        outcome.ratios.update(dict.fromkeys(open_ones, rule.ratio))
        if not open_ones:
            outcome.notes.append(f"{_field(index, rule)} has no effect: {_why(rule.match, matched, refused)}")
    return outcome


def matches(pattern: str, layer: str) -> bool:
    """Whether a pattern matches a layer's structured name or that of a block it is in."""
    parts = layer.split(".")
    return any(fnmatchcase(".".join(parts[:end]), pattern) for end in range(1, len(parts) + 1))


def caps(
    producers: Mapping[str, Sequence[str]], order: Sequence[str], protect: Protect, measured: float
) -> dict[str, float]:
    """Return the largest ratio of each group that no rule fixes.

    ``order``: convolution and linear layers as they run. ``protect.first`` holds for the group of the layer
    that runs first, ``protect.last`` for the group whose producers run last of those that can be cut.
    ``measured`` is the largest ratio of the sensitivity curves: beyond it nothing is known.
    """
    place = {layer: position for position, layer in enumerate(order)}
    found = dict.fromkeys(producers, min(MAX_RATIO, measured))
    runs = {g: [place[name] for name in names if name in place] for g, names in producers.items()}
    for group, places in runs.items():
        if 0 in places:
            found[group] = min(found[group], protect.first)
    if any(runs.values()):
        last = max((g for g in runs if runs[g]), key=lambda g: max(runs[g]))
        found[last] = min(found[last], protect.last)
    return found


def _field(index: int, rule: LayerRule) -> str:
    return f"spec.pruning.layers[{index}].match: {rule.match!r}"


def _why(pattern: str, matched: list[str], refused: Mapping[str, str]) -> str:
    if matched:
        return "earlier rules decide all that it matches"
    hit = [name for name in refused if matches(pattern, name)]
    if hit:
        return "what it matches cannot be cut: " + "; ".join(f"{name}: {refused[name]}" for name in hit[:3])
    return "it matches no convolution or linear layer that leads its channels"
