"""PaddleSlim's groups on real networks: every group is proven, every other layer says why not."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import DType, Engine, InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import proof, slim
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.layers import cuttable_layers, named_layers, width
from secateur_jobs.pruning.paddleslim_engine import PaddleSlimEngine
from secateur_jobs.pruning.survey import refused_layers
from secateur_jobs.zoo.digits import residual_net
from tests.jobs.statistics import like_trained

pytestmark = pytest.mark.paddle
nn, F = paddle.nn, paddle.nn.functional


def images(size: int, channels: int = 3) -> list[InputSpec]:
    return [InputSpec(name="image", shape=[1, channels, size, size])]


def state(net: nn.Layer) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in net.state_dict().items()}


VISION = paddle.vision.models


@pytest.mark.parametrize(
    ("build", "inputs", "groups", "refused"),
    [
        (lambda: residual_net(width=8), images(16, 1), 6, ["fc"]),
        (lambda: VISION.mobilenet_v1(scale=0.25), images(32), 14, ["fc"]),
        (lambda: VISION.mobilenet_v2(scale=0.25), images(32), 24, ["classifier.1"]),
        (lambda: VISION.mobilenet_v3_small(scale=0.5), images(32), 26, ["classifier.3"]),
        (VISION.resnet50, images(32), 37, ["fc"]),
    ],
    ids=["digits", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3", "resnet50"],
)
def test_every_group_is_exact_and_restored_bit_for_bit(build, inputs, groups, refused):
    net = like_trained(build())
    before = state(net)
    engine = make_engine(Engine.PADDLESLIM, net, inputs)
    proven, unproven = proof.prove_groups(engine, inputs)
    assert unproven == {}
    assert len(proven) == groups
    assert [r.layer for r in refused_layers(net, proven, engine.reasons)] == refused
    assert engine.reasons[refused[0]] == "its channels are the model's output (head layer)"
    assert state(net) == before
    assert not [name for name in net.state_dict() if name.endswith("_backup")]


@pytest.mark.parametrize(
    ("build", "size", "groups", "reason"),
    [
        (VISION.resnext50_32x4d, 32, 5, "grouped convolution layer1.0.conv2 (groups=32)"),
        (VISION.squeezenet1_0, 64, 9, "unsupported operator named concat behind it"),
        (VISION.densenet121, 32, 58, "unsupported operator named concat behind it"),
        (VISION.googlenet, 224, 25, "unsupported operator named concat behind it"),
    ],
    ids=["resnext", "squeezenet", "densenet", "googlenet"],
)
def test_what_paddleslim_cannot_cut_is_refused_by_name(build, size, groups, reason):
    net = like_trained(build())
    engine = PaddleSlimEngine(net, images(size))
    assert len(engine.groups) == groups
    refused = {r.layer: r.reason for r in refused_layers(net, engine.groups, engine.reasons)}
    cut = {name for group in engine.groups for name in (*group.producers, *group.others)}
    assert (cut | refused.keys()) >= cuttable_layers(net).keys()
    assert not cut & refused.keys()
    assert any(reason in text for text in refused.values())


class Net(nn.Layer):
    """Two convolutions, something between, and a head."""

    def __init__(self, between=None, head=None, groups: int = 1) -> None:
        super().__init__()
        self.a = nn.Conv2D(3, 16, 3, padding=1)
        self.b = nn.Conv2D(16, 16, 3, padding=1, groups=groups)
        self.fc = nn.Linear(16, 4)
        self.between = between or F.relu
        self.head = head or (lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1))

    def forward(self, x):
        return self.fc(self.head(F.relu(self.b(self.between(self.a(x))))))


def proven_groups(net: nn.Layer, inputs: list[InputSpec]) -> tuple[dict[str, ChannelGroup], dict[str, str]]:
    engine = make_engine(Engine.PADDLESLIM, net, inputs)
    groups, unproven = proof.prove_groups(engine, inputs)
    refused = refused_layers(net, groups, engine.reasons | unproven)
    return {g.name: g for g in groups}, {r.layer: r.reason for r in refused}


@pytest.mark.parametrize(
    "function", [F.silu, F.elu, F.mish, F.tanh, F.gelu, F.hardswish, F.sigmoid, F.leaky_relu]
)
def test_activations_that_keep_the_shape_are_followed(function):
    groups, refused = proven_groups(Net(function), images(8))
    assert list(groups) == ["a", "b"]
    assert list(refused) == ["fc"]


def test_a_mean_head_cuts_the_linear_behind_it():
    for keep in (False, True):
        head = lambda x, keep=keep: x.mean([2, 3], keepdim=keep).flatten(1)  # noqa: E731
        groups, _ = proven_groups(Net(head=head), images(8))
        assert groups["b"].consumers == ("fc",)


def test_prelu_follows_with_its_weights():
    for slopes in (1, 16):
        groups, refused = proven_groups(Net(nn.PReLU(slopes)), images(8))
        assert list(refused) == ["fc"]
        assert groups["a"].others == (("between",) if slopes == 16 else ())


def test_a_flattened_map_cuts_all_its_positions():
    class Flat(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2D(1, 8, 3, padding=1)
            self.hidden = nn.Linear(8 * 4 * 4, 24)
            self.out = nn.Linear(24, 3)

        def forward(self, x):
            return self.out(F.relu(self.hidden(F.relu(self.conv(x)).flatten(1))))

    groups, refused = proven_groups(Flat(), images(4, 1))
    assert list(groups) == ["conv", "hidden"]
    assert list(refused) == ["out"]
    owner = groups["conv"].slices_of("in")[0].owner
    assert list(np.bincount(owner)) == [16] * 8


@pytest.mark.parametrize(
    ("net", "layer", "reason"),
    [
        (lambda: Net(groups=4), "a", "grouped convolution b (groups=4)"),
        (lambda: Net(lambda x: x / x.norm(p=2, axis=1, keepdim=True)), "a", "unsupported operator"),
        (lambda: Net(lambda x: F.softmax(x, axis=1)), "a", "broken without warning when cut"),
        (lambda: Net(lambda x: x.reshape([0, 16, 8, 8])), "a", "when cut"),
        (lambda: Net(nn.GroupNorm(4, 16)), "a", "unsupported operator named group_norm"),
    ],
    ids=["grouped", "l2norm", "softmax", "hard-wired reshape", "group norm"],
)
def test_what_breaks_is_refused_with_the_reason(net, layer, reason):
    groups, refused = proven_groups(net(), images(8))
    assert layer not in groups
    assert reason in refused[layer]


def test_a_layer_that_forward_does_not_use_is_refused():
    net = Net()
    net.spare = nn.Conv2D(3, 8, 1)
    _, refused = proven_groups(net, images(8))
    assert "not reached by the tracer" in refused["spare"]


def test_a_forward_that_cannot_be_traced_refuses_everything_and_leaves_dynamic_mode_on():
    class Untraceable(Net):
        def forward(self, x):
            return super().forward(x) if paddle.in_dynamic_mode() else undefined_name  # noqa: F821

    groups, refused = proven_groups(Untraceable(), images(8))
    assert not groups
    assert set(refused) == {"a", "b", "fc"}
    assert "tracer cannot run the model: NameError" in refused["a"]
    assert paddle.in_dynamic_mode()


def test_several_inputs_of_several_types_are_traced():
    class Two(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 8)
            self.hidden = nn.Linear(8, 16)
            self.out = nn.Linear(16, 2)

        def forward(self, ids, x):
            return self.out(F.relu(self.hidden(self.embed(ids).mean(1) + x)))

    inputs = [InputSpec(name="ids", shape=[1, 5], dtype=DType.INT64), InputSpec(name="x", shape=[1, 8])]
    groups, refused = proven_groups(Two(), inputs)
    assert list(groups) == ["hidden"]
    assert list(refused) == ["embed", "out"]


def test_a_final_cut_equals_the_masked_net_and_describes_itself():
    net = like_trained(VISION.mobilenet_v3_small(scale=0.5))
    inputs = images(32)
    engine = make_engine(Engine.PADDLESLIM, net, inputs)
    random = np.random.default_rng(3)
    keep = {g.name: random.random(g.channels) < 0.6 for g in engine.groups}
    samples = proof.sample_inputs(inputs, seed=5, batch=3)
    with proof.masked(engine, keep):
        expected = proof.outputs(net, samples)[0]
    engine.cut(keep)
    engine.freeze()
    found = proof.outputs(net, samples)[0]
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    for group in engine.groups:
        for name in group.producers:
            layer = named_layers(net)[name]
            assert width(layer) == keep[group.name].sum()
            if isinstance(layer, nn.Conv2D):
                assert layer._out_channels == width(layer)
    assert not [name for name in net.state_dict() if name.endswith("_backup")]
    again, _ = proof.prove_groups(make_engine(Engine.PADDLESLIM, net, inputs), inputs)
    assert [g.name for g in again] == [g.name for g in engine.groups]


def test_masked_producers_agree_too_where_nothing_revives_the_channel():
    """A second, independent reference: filters, biases and normalisations of the cut channels at zero."""
    net = like_trained(residual_net(width=8))
    inputs = images(16, 1)
    engine = make_engine(Engine.PADDLESLIM, net, inputs)
    keep = {g.name: np.arange(g.channels) % 3 != 1 for g in engine.groups}
    samples = proof.sample_inputs(inputs)
    engine.cut(keep)
    pruned = proof.outputs(net, samples)[0]
    engine.restore()
    layers = named_layers(net)
    for group in engine.groups:
        for piece in group.slices:
            if piece.role != "in" and piece.parameter in ("weight", "bias"):
                parameter = getattr(layers[piece.layer], piece.parameter)
                shape = [-1 if axis == piece.axis else 1 for axis in range(parameter.ndim)]
                parameter.set_value(parameter.numpy() * piece.kept(keep[group.name]).reshape(shape))
    expected = proof.outputs(net, samples)[0]
    assert np.abs(pruned - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_proof_notices_a_single_wrong_channel():
    net = like_trained(residual_net(width=8))
    inputs = images(16, 1)
    engine = make_engine(Engine.PADDLESLIM, net, inputs)
    group = engine.groups[1]
    keep = {group.name: np.arange(group.channels) >= 2}
    wrong = {group.name: np.arange(group.channels) != 1}
    samples = proof.sample_inputs(inputs)
    assert proof.check(engine, keep, samples) is None
    with proof.masked(engine, wrong):
        expected = proof.outputs(net, samples)
    engine.cut(keep)
    fault = proof._difference(proof.outputs(net, samples), expected, is_double=False)
    engine.restore()
    assert fault is not None
    assert "broken without warning" in fault


def test_paddleslim_comes_without_its_baggage():
    import subprocess
    import sys

    code = (
        "from secateur_jobs.pruning import slim; import sys; slim.module('prune.prune_worker')\n"
        "heavy = {'matplotlib', 'cv2', 'sklearn', 'zmq'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "paddleslim" not in done.stderr


def test_paddleslim_is_silent(capfd):
    slim.module("dygraph.prune.filter_pruner")
    engine = make_engine(Engine.PADDLESLIM, VISION.mobilenet_v1(scale=0.25), images(32))
    engine.cut({engine.groups[0].name: np.arange(engine.groups[0].channels) > 1})
    engine.restore()
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "INFO" not in captured.err


def test_reasons_exist_for_a_single_linear():
    assert Reason.NOTHING_PRUNABLE.value == "NothingPrunable"
    _, refused = proven_groups(nn.Linear(4, 2), [InputSpec(name="x", shape=[1, 4])])
    assert list(refused.values()) == ["its channels are the model's output (head layer)"]


def test_a_difference_is_relative_to_each_output_and_nan_is_never_equal():
    one, other = np.array([10.0, 4.0]), np.array([0.1, 0.2])
    assert proof.relative_difference([one, other], [one, np.array([0.1, 0.21])]) == pytest.approx(0.01 / 0.21)
    for place in (0, 1):
        found = [one.copy(), other.copy()]
        found[place][0] = np.nan
        assert np.isnan(proof.relative_difference(found, [one, other]))
