"""Criteria: PaddleSlim's choices are met exactly; the others rank as their papers say; units of any kind."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.spec import Evaluation, InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import slim
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria import choose_channels, criterion_function
from secateur_jobs.pruning.engine import best_channels
from secateur_jobs.pruning.paddleslim_engine import PaddleSlimEngine
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.batching import ArrayDataset
from secateur_jobs.zoo.digits import residual_net

pytestmark = pytest.mark.paddle
nn = paddle.nn
INPUTS = [InputSpec(name="image", shape=[1, 1, 16, 16])]


@pytest.fixture(scope="module")
def net():
    paddle.seed(3)
    made = residual_net(width=16)
    made.eval()
    return made


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    images = random.standard_normal((300, 1, 16, 16)).astype("float32")
    return ArrayDataset([images, random.integers(0, 10, 300)])


@pytest.fixture
def calibration(net, data):
    return Calibration(net, data, Evaluation())


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.8])
def test_the_choice_is_that_of_paddleslims_own_pruner(net, calibration, ratio):
    theirs = slim.module("dygraph.prune.l1norm_pruner").L1NormFilterPruner(net, [1, 1, 16, 16])
    ours = PaddleSlimEngine(net, INPUTS)
    by_name = {g.name: g for g in ours.groups}
    layers = dict(net.named_sublayers())
    compared = 0
    for name_of, group in by_name.items():
        collection = theirs.collections.find_collection_by_master(layers[name_of].weight.name, 0)
        if collection is None:  # the head of a Linear group: PaddleSlim's conv pruners lead none
            continue
        if len(group.producers) > 1:  # PaddleSlim looks at the leader alone
            continue
        expected = np.asarray(theirs.cal_mask(ratio, collection)).astype(bool)
        kept = group.channels - round(group.channels * ratio)
        scores = criterion_function("l1_norm")(net, group, calibration)
        assert np.array_equal(best_channels(scores, kept), expected)
        compared += 1
    assert compared == 3


def groups_of(net):
    return PaddleSlimEngine(net, INPUTS).groups


def test_all_layers_that_produce_a_channel_have_a_say(net, calibration):
    name = "l1_norm"
    group = next(g for g in groups_of(net) if g.producers == ("layer2.conv2", "layer2.shortcut.0"))
    scores = criterion_function(name)(net, group, calibration)
    assert scores.mean() == pytest.approx(1)
    for layer in (net.layer2.conv2, net.layer2.shortcut[0]):
        before = layer.weight.numpy()
        larger = np.ones(32, "float32")
        larger[scores.argmin()] = 50
        layer.weight.set_value(before * larger.reshape(-1, 1, 1, 1))
        changed = criterion_function(name)(net, group, calibration)
        layer.weight.set_value(before * 1000)  # a layer of larger weights has no louder voice
        scaled = criterion_function(name)(net, group, calibration)
        layer.weight.set_value(before)
        assert changed.argmax() == scores.argmin()
        assert np.allclose(scaled, scores, rtol=1e-4)


def test_a_silent_channel_has_the_lowest_activation_and_taylor_score(net, calibration):
    group = next(g for g in groups_of(net) if g.name == "layer2.conv1")
    weight, scale, bias = net.layer2.conv1.weight, net.layer2.bn1.weight, net.layer2.bn1.bias
    before = [p.numpy() for p in (weight, scale, bias)]
    silent = np.ones(32, "float32")
    silent[5] = 0
    weight.set_value(before[0] * silent.reshape(-1, 1, 1, 1))
    scale.set_value(before[1] * silent)
    bias.set_value(before[2] * silent)
    try:
        for name in ("activation", "taylor", "fisher"):
            scores = criterion_function(name)(net, group, calibration)
            assert scores.shape == (32,)
            assert scores.argmin() == 5
            assert scores[5] == 0
            assert np.delete(scores, 5).min() > 0
    finally:
        for parameter, value in zip((weight, scale, bias), before, strict=True):
            parameter.set_value(value)


def test_taylor_is_the_first_order_loss_of_a_channel(net, data):
    """Shrinking a channel's weights by 1e-3 changes the loss as weight x gradient says."""
    small = ArrayDataset([column[:64] for column in data.arrays])
    calibration = Calibration(net, small, Evaluation())
    group = next(g for g in groups_of(net) if g.name == "layer1.conv1")
    score = criterion_function("taylor")(net, group, calibration)[3]
    (images, labels), step = calibration.batches[0], 1e-2

    def loss() -> float:
        with paddle.no_grad():
            return float(nn.functional.cross_entropy(net(paddle.to_tensor(images)), paddle.to_tensor(labels)))

    before = net.layer1.conv1.weight.numpy()
    losses = []
    for factor in (1 - step, 1 + step):
        scale = np.ones(16, "float32")
        scale[3] = factor
        net.layer1.conv1.weight.set_value(before * scale.reshape(-1, 1, 1, 1))
        losses.append(loss())
    net.layer1.conv1.weight.set_value(before)
    slope = (losses[1] - losses[0]) / (2 * step)
    assert score == pytest.approx(slope**2, rel=0.1)


def test_criteria_leave_the_net_as_it_was(net, calibration):
    before = {k: v.numpy().tobytes() for k, v in net.state_dict().items()}
    for name in ("activation", "taylor", "fisher", "l1_norm"):
        criterion_function(name)(net, groups_of(net)[0], calibration)
    assert {k: v.numpy().tobytes() for k, v in net.state_dict().items()} == before
    assert all(p.grad is None or not p.grad.numpy().any() for p in net.parameters())


def last_first(net, group, calibration):
    """A user's criterion: the channels with the highest numbers stay."""
    return range(group.channels)


def too_few(net, group, calibration):
    """Wrong: one score for all."""
    return [1.0]


def raises(net, group, calibration):
    """Wrong."""
    raise KeyError("weights")


def test_a_users_criterion_decides(net, calibration):
    groups = groups_of(net)
    mine = criterion_function(f"{__name__}:last_first")
    keep = choose_channels(groups, {groups[0].name: 4}, mine, calibration)
    assert list(keep) == [groups[0].name]
    assert list(np.flatnonzero(keep[groups[0].name])) == [12, 13, 14, 15]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("too_few", r"returned shape \[1\].*expected 16 finite"),
        ("raises", "raised KeyError"),
        ("absent", "no 'absent'"),
    ],
)
def test_a_users_criterion_that_is_wrong_is_explained(net, calibration, name, words):
    with pytest.raises(InvalidInput, match=f"spec.pruning.criterion.*{words}"):
        criterion_function(f"{__name__}:{name}")(net, groups_of(net)[0], calibration)
