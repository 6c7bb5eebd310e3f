"""No wrong cut is offered for networks made to mislead, and what is not offered says why."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.pruning.proof import check, prove_groups, runnable_samples
from secateur_jobs.pruning.survey import refused_layers
from secateur_jobs.training.seeding import seed_everything
from tests.jobs.adversarial_nets import CASES
from tests.jobs.statistics import like_trained

pytestmark = pytest.mark.paddle


@pytest.mark.parametrize("name", CASES)
def test_exactly_what_can_be_cut_is_offered_and_every_choice_of_it_is_exact(name: str) -> None:
    case = CASES[name]
    seed_everything(3)
    net = like_trained(case.build())
    before = {key: value.numpy().tobytes() for key, value in net.state_dict().items()}
    engine = NativeEngine(net, case.inputs)
    groups, unproven = prove_groups(engine, case.inputs)
    refused = {r.layer: r.reason for r in refused_layers(net, groups, engine.reasons | unproven)}
    expected = dict(case.refused) | ({case.head: "model's output"} if case.head else {})
    assert refused.keys() == expected.keys()
    for layer, words in expected.items():
        assert words in refused[layer], layer
    samples = runnable_samples(net, case.inputs)
    for draw in range(4 if groups else 0):
        random = np.random.default_rng(draw)
        keep = {
            g.name: g.choose(random.random(g.channels), int(random.integers(1, g.channels))) for g in groups
        }
        assert check(engine, keep, samples) is None
    assert {key: value.numpy().tobytes() for key, value in net.state_dict().items()} == before
    assert not any("forward" in layer.__dict__ for layer in net.sublayers(include_self=True))


def widths(net: paddle.nn.Layer) -> list[int]:
    return [int(layer.weight.shape[0]) for layer in (net.a, net.a2, net.outer)]


def test_a_group_bound_to_positions_keeps_the_best_of_each_position() -> None:
    net = CASES["shuffle units"].build()
    net.eval()
    engine = NativeEngine(net, CASES["shuffle units"].inputs)
    group = next(g for g in engine.groups if g.name == "a")
    assert (group.producers, group.channels) == (("a", "a2", "outer"), 36)
    scores = np.random.default_rng(0).random(group.channels)
    keep = group.choose(scores, 20)
    assert keep.sum() == 18, "three producers of equal width: the next multiple of three that fits"
    for bundle in range(group.bundle.max() + 1):
        mine = group.bundle == bundle
        assert scores[mine & keep].min() > scores[mine & ~keep].max(initial=0.0)
    engine.cut({"a": keep})
    assert widths(net) == [6, 6, 6]
    engine.restore()
    assert widths(net) == [12, 12, 12]


def test_a_choice_that_positions_do_not_allow_is_refused() -> None:
    net = CASES["shuffle units"].build()
    net.eval()
    engine = NativeEngine(net, CASES["shuffle units"].inputs)
    keep = np.arange(36) < 18
    with pytest.raises(ValueError, match="bound to positions"):
        engine.cut({"a": keep})
    assert widths(net) == [12, 12, 12]
