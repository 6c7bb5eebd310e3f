"""Channels that layer normalisations take mean and variance over: the width of a transformer's stream."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.spec import Evaluation, Model, Pretrain
from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import proof
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.cost_of_net import cost_models
from secateur_jobs.pruning.criteria import mask_gradients
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.masking import other_forwards, over_kept, weighted
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.pruning.repair import repair_weights
from secateur_jobs.pruning.sensitivity.sweep import Cut, Sweep
from secateur_jobs.runtime.errors import MissingData
from secateur_jobs.training.batching import ArrayDataset
from secateur_jobs.zoo.ernie import ernie_classifier
from tests.jobs.layernorm_nets import (
    IMAGES,
    NETS,
    TOKENS,
    VECTORS,
    WIDTH,
    ConvNeXt,
    OtherVariance,
    PostNorm,
)
from tests.jobs.rebuilding import rebuilt
from tests.jobs.statistics import like_trained

pytestmark = pytest.mark.paddle
nn, F = paddle.nn, paddle.nn.functional


def bits(net: nn.Layer) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in proof._state(net).items()}


def made(name: str) -> tuple[nn.Layer, NativeEngine, list[np.ndarray]]:
    build, inputs, _ = NETS[name]
    paddle.seed(1)
    net = like_trained(build())
    return net, NativeEngine(net, inputs), proof.sample_inputs(inputs, batch=3)


def some(groups: list[ChannelGroup], seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {g.name: g.choose(random.random(g.channels), int(random.integers(1, g.channels))) for g in groups}


@pytest.mark.parametrize("name", NETS)
def test_the_stream_is_one_group_and_every_cut_of_it_equals_the_masked_net(name: str) -> None:
    net, engine, samples = made(name)
    before = bits(net)
    groups, unproven = proof.prove_groups(engine, NETS[name][1])
    assert {g.name: (g.channels, tuple(n.layer for n in g.norms)) for g in groups} == NETS[name][2]
    assert unproven == {}
    assert list(engine.reasons) == ["fc"]
    for seed in range(3):
        assert proof.check(engine, some(groups, seed), samples) is None
    assert bits(net) == before
    assert not any("forward" in vars(layer) for layer in net.sublayers())


def test_a_norm_counts_the_kept_channels_alone() -> None:
    random = np.random.default_rng(0)
    norm = like_trained(nn.Sequential(nn.LayerNorm(7)))[0]
    x, kept = random.standard_normal((2, 3, 7)).astype("float32"), np.array([1, 0, 1, 1, 0, 1, 0], bool)
    part = x[..., kept]
    expected = (part - part.mean(-1, keepdims=True)) / np.sqrt(part.var(-1, keepdims=True) + 1e-5)
    expected = expected * norm.weight.numpy()[kept] + norm.bias.numpy()[kept]
    tensor = paddle.to_tensor(x)
    found = over_kept(norm, kept)(tensor).numpy()
    np.testing.assert_allclose(found[..., kept], expected, atol=1e-5)
    assert not found[..., ~kept].any()
    by_weights = weighted(norm, tensor, paddle.to_tensor(kept.astype("float32"))).numpy()
    np.testing.assert_allclose(by_weights[..., kept], expected, atol=1e-5)
    both = over_kept(norm, kept, norm.forward)(tensor).numpy()
    np.testing.assert_allclose(both[..., kept], expected, atol=1e-5)
    np.testing.assert_allclose(both[..., ~kept], norm(tensor).numpy()[..., ~kept], atol=1e-6)


@pytest.mark.parametrize(
    ("build", "inputs", "layer", "words"),
    [
        (lambda: PostNorm(reshaped=True), TOKENS, "words", "fails when cut"),
        (lambda: ConvNeXt(OtherVariance(WIDTH)), IMAGES, "stem", "broken without warning when cut"),
        (lambda: ConvNeXt(nn.LayerNorm([4, WIDTH])), IMAGES, "stem", "layer normalisation over several axes"),
    ],
    ids=["hard-wired width", "another formula", "several axes"],
)
def test_a_stream_that_cannot_be_cut_says_why(build, inputs, layer, words) -> None:
    paddle.seed(1)
    net = like_trained(build())
    before = bits(net)
    engine = NativeEngine(net, inputs)
    groups, unproven = proof.prove_groups(engine, inputs)
    assert layer not in {name for group in groups for name in group.producers}
    assert words in (engine.reasons | unproven)[layer]
    assert len(groups) >= 1
    assert bits(net) == before


@pytest.mark.parametrize("name", ["norms behind branches", "convolutions"])
def test_a_cut_net_says_its_widths_and_is_rebuilt_from_its_file(name: str) -> None:
    build, inputs, _ = NETS[name]
    net, engine, samples = made(name)
    engine.cut({g.name: np.arange(g.channels) % 3 != 1 for g in engine.groups})
    engine.freeze()
    width = {int(t.shape[-1]) for n, t in net.named_parameters() if n in ("words.weight", "scale")}
    norms = [layer._normalized_shape for layer in net.sublayers() if isinstance(layer, nn.LayerNorm)]
    assert all(shape == list(width) and shape[0] < WIDTH for shape in norms)
    assert all(
        layer.embed_dim == norms[0][0]
        for layer in net.sublayers()
        if isinstance(layer, nn.MultiHeadAttention)
    )
    model = Model(factory=f"{build.__module__}:{build.__name__}", inputs=inputs, pretrain=Pretrain(epochs=1))
    content = checkpoint.to_bytes(net, model)
    again = rebuilt(content)
    np.testing.assert_array_equal(proof.outputs(again, samples)[0], proof.outputs(net, samples)[0])
    assert checkpoint.to_bytes(again, model) == content
    assert [g.name for g in NativeEngine(again, inputs).groups] == [g.name for g in engine.groups]


def test_a_file_with_a_norm_that_is_too_wide_is_refused() -> None:
    net, _, _ = made("convolutions")
    model = Model(factory="tests.jobs.layernorm_nets:ConvNeXt", inputs=IMAGES, pretrain=Pretrain(epochs=1))
    content = checkpoint.to_bytes(net, model)
    wrong = content.replace(b'normed\\": {\\"norm\\": 12', b'normed\\": {\\"norm\\": 13')
    with pytest.raises(MissingData, match="'norm' of the network does not normalise over 13 channels"):
        rebuilt(wrong)


@pytest.mark.parametrize("name", ["norms behind branches", "norms before branches"])
def test_points_of_the_stream_are_those_of_the_whole_masked_net(name: str) -> None:
    net, engine, samples = made(name)
    cuts = [
        Cut(g, ratio, g.choose(np.arange(g.channels), g.channels - round(g.channels * ratio)))
        for g in engine.groups
        for ratio in (0.25, 0.5)
    ]
    before, sweep = bits(net), Sweep(net)
    with sweep.open():
        results = [(r.cut, r.outputs.given) for r in sweep.run(samples, cuts)]
    assert sweep.notes == []
    for cut, output in results:
        keep = {} if cut is None else {cut.group.name: cut.keep}
        with proof.masked(engine, keep):
            np.testing.assert_array_equal(output, proof.outputs(net, samples)[0])
        engine.cut(keep)
        assert proof.relative_difference([output], proof.outputs(net, samples)) <= 1e-5
        engine.restore()
    assert len(results) == 2 * len(engine.groups) + 1
    assert bits(net) == before


def test_scores_of_the_stream_are_derivatives_of_the_masked_loss() -> None:
    """By finite differences: each consumer reads 1 - h of a channel, and each norm counts it 1 - h times."""
    net, engine, (tokens,) = made("norms behind branches")
    group = engine.groups[0]
    labels = np.array([0, 1, 2])
    calibration = Calibration(net, ArrayDataset([tokens, labels]), Evaluation())
    (found,) = mask_gradients(net, group, calibration.gradients)
    (x, y), layers = calibration.batches[0], named_layers(net)

    def loss(weights: np.ndarray) -> float:
        mask = paddle.to_tensor(weights.astype("float32"))
        norms = [layers[norm.layer] for norm in group.norms]
        counting = {norm: lambda x, norm=norm: weighted(norm, x, mask) for norm in norms}
        reading = {layers[name]: lambda x, f=layers[name].forward: f(x * mask) for name in group.consumers}
        with other_forwards(counting | reading), paddle.no_grad():
            return float(F.cross_entropy(net(paddle.to_tensor(x)), paddle.to_tensor(y)))

    step = 0.02
    slopes = [
        (loss(1 + step * np.eye(WIDTH)[unit]) - loss(1 - step * np.eye(WIDTH)[unit])) / (2 * step)
        for unit in range(WIDTH)
    ]
    np.testing.assert_allclose(found.mean(axis=0), slopes, rtol=0.05, atol=2e-4)


def test_consumers_are_fitted_to_what_the_norm_will_give_them() -> None:
    errors = {}
    for way in ("norm", "no norm", "nothing"):
        paddle.seed(1)
        net = nn.Sequential(
            nn.Linear(4, WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 6), nn.Tanh(), nn.Linear(6, 3)
        )
        like_trained(net)
        engine = NativeEngine(net, VECTORS)
        group = engine.groups[0]
        keep = {group.name: np.arange(WIDTH) % 3 != 0}
        random = np.random.default_rng(0)
        learning, others = (random.standard_normal((256, 4)).astype("float32") for _ in range(2))
        expected = proof.outputs(net, [others])[0]
        samples = Calibration(net, ArrayDataset([learning, np.zeros(256, "int64")]), Evaluation())
        groups = [group if way == "norm" else ChannelGroup(group.name, group.channels, group.slices)]
        if way != "nothing":
            assert repair_weights(net, groups, keep, samples).fitted == ["2"]
        engine.cut(keep)
        errors[way] = float(np.square(proof.outputs(net, [others])[0] - expected).mean())
    assert errors["norm"] < 0.8 * errors["no norm"]
    assert errors["norm"] < 0.5 * errors["nothing"]


def test_ernie_loses_width_everywhere_and_costs_what_was_predicted() -> None:
    paddle.seed(1)
    sizes = {"hidden": 16, "layers": 1, "heads": 2, "ffn": 32, "positions": 8, "tasks": 0}
    net = like_trained(ernie_classifier(5, 50, **sizes))
    model = Model(
        factory="secateur_jobs.zoo.ernie:ernie_classifier",
        args={"num_classes": 5, "vocab_size": 50, **sizes},
        inputs=TOKENS,
        pretrain=Pretrain(epochs=1),
    )
    engine = NativeEngine(net, TOKENS)
    groups, unproven = proof.prove_groups(engine, TOKENS)
    group = groups[0]
    assert group.name == "ernie.embeddings.word_embeddings"
    assert (group.channels, len(group.producers), len(group.norms)) == (16, 5, 3)
    assert unproven == {}
    uncut = len(checkpoint.to_bytes(net, model))
    costs = cost_models(engine, groups, count(net, TOKENS), uncut, TOKENS)
    engine.cut({group.name: np.arange(16) % 4 != 0})
    engine.freeze()
    after, kept = count(net, TOKENS), {group.name: 0.75}
    assert costs["macs"].total(kept) == after.macs
    assert costs["params"].total(kept) == after.params
    assert costs["size"].total(kept) == pytest.approx(len(checkpoint.to_bytes(net, model)), rel=0.01)
    assert list(net.ernie.embeddings.word_embeddings.weight.shape) == [50, 12]
