"""Fixed ratios and caps: which rule decides which group."""

from __future__ import annotations

import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import LayerRule, Protect
from secateur_jobs.pruning.layer_rules import apply_rules, caps, matches
from secateur_jobs.runtime.errors import InvalidInput

PRODUCERS = {
    "conv1": ["conv1", "layer1.0.conv2"],
    "layer1.0.conv1": ["layer1.0.conv1"],
    "layer2.0.conv1": ["layer2.0.conv1"],
    "layer2.0.conv2": ["layer2.0.conv2", "layer2.0.downsample.0"],
}
REFUSED = {"fc": "its channels are the model's output (head layer)"}
LAYERS = ["conv1", "bn1", "layer1", "layer1.0", "layer1.0.conv1", "layer1.0.conv2", "layer2", "layer2.0"]
LAYERS += ["layer2.0.conv1", "layer2.0.conv2", "layer2.0.downsample", "layer2.0.downsample.0", "fc"]


def decide(*rules: tuple[str, float]):
    return apply_rules([LayerRule(match=m, ratio=r) for m, r in rules], PRODUCERS, REFUSED, LAYERS)


def test_the_first_match_wins():
    assert decide(("layer1.*", 0.3), ("*", 0.5)).ratios == {
        "conv1": 0.3,
        "layer1.0.conv1": 0.3,
        "layer2.0.conv1": 0.5,
        "layer2.0.conv2": 0.5,
    }
    assert decide(("*", 0.5), ("layer1.*", 0.3)).ratios == dict.fromkeys(PRODUCERS, 0.5)


def test_a_group_follows_a_rule_for_any_of_its_producers():
    assert decide(("layer2.0.downsample.0", 0.2)).ratios == {"layer2.0.conv2": 0.2}


def test_a_block_stands_for_its_layers():
    assert decide(("layer2", 0.4)).ratios == decide(("layer2.*", 0.4)).ratios
    assert not matches("conv1", "layer1.0.conv1")


def test_a_pattern_that_matches_nothing_lists_near_names():
    with pytest.raises(InvalidInput) as caught:
        decide(("conv1", 0.2), ("layr1.*", 0.3))
    assert caught.value.reason is Reason.PATTERN_MATCHES_NOTHING
    assert (
        "spec.pruning.layers[1].match: 'layr1.*' matches no layer; did you mean 'layer1'"
        in caught.value.message
    )


def test_rules_without_effect_are_noted():
    notes = decide(("fc", 0.3), ("*", 0.1), ("conv1", 0.2), ("bn1", 0.1)).notes
    assert len(notes) == 3
    assert "layers[0]" in notes[0]
    assert "head layer" in notes[0]
    assert "earlier rules" in notes[1]
    assert "no convolution or linear" in notes[2]


def test_caps_of_the_first_and_the_last_group_in_the_order_of_running():
    order = ["conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.conv2", "fc"]
    found = caps(PRODUCERS, order, Protect(first=0.1, last=0.2), measured=0.9)
    assert found == {
        "conv1": 0.1,
        "layer1.0.conv1": 0.75,
        "layer2.0.conv1": 0.75,
        "layer2.0.conv2": 0.2,
    }
    assert caps(PRODUCERS, order, Protect(), measured=0.3)["layer2.0.conv1"] == 0.3


def test_a_refused_first_layer_passes_its_cap_to_nobody():
    found = caps({"b": ["b"], "c": ["c"]}, ["a", "b", "c"], Protect(first=0, last=0), measured=0.9)
    assert found == {"b": 0.75, "c": 0}


def test_the_only_group_is_first_and_last():
    assert caps({"a": ["a"]}, ["a", "head"], Protect(first=0.3, last=0.1), measured=0.9) == {"a": 0.1}
