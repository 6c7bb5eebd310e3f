"""Channels that layer normalisations take mean and variance over: the width of a transformer's stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from secateur_api.spec import DType, Evaluation, InputSpec, Model, Pretrain, Repair
from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import proof
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.cost_of_net import cost_models
from secateur_jobs.pruning.criteria.masks import mask_gradients
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.forwards import other_forwards
from secateur_jobs.pruning.layer_norms import over_kept, weighted
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.pruning.repair.weights import repair_weights
from secateur_jobs.pruning.sensitivity.sweep import Cut, Sweep
from secateur_jobs.runtime.errors import MissingData
from secateur_jobs.training.batching import ArrayDataset
from secateur_jobs.zoo.ernie import ernie_classifier
from tests.jobs.statistics import like_trained

pytestmark = pytest.mark.paddle
nn, F = paddle.nn, paddle.nn.functional
TOKENS = [InputSpec(name="tokens", shape=[1, 6], dtype=DType.INT64)]
IMAGES = [InputSpec(name="image", shape=[1, 3, 16, 16])]
VECTORS = [InputSpec(name="x", shape=[1, 4])]
WIDTH = 12


class PreNorm(nn.Layer):
    """A vision transformer: patches, a class token and places of its own, norms before each branch."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2D(3, WIDTH, 8, stride=8)
        normal = nn.initializer.Normal()
        self.token = self.create_parameter([1, 1, WIDTH], default_initializer=normal)
        self.places = self.create_parameter([1, 5, WIDTH], default_initializer=normal)
        layer = nn.TransformerEncoderLayer(WIDTH, 3, 20, dropout=0.1, normalize_before=True)
        self.encoder = nn.TransformerEncoder(layer, 1, nn.LayerNorm(WIDTH, bias_attr=False))
        self.fc = nn.Linear(WIDTH, 5)

    def forward(self, image: Any) -> Any:
        x = self.patches(image).flatten(2).transpose([0, 2, 1])
        x = paddle.concat([self.token.expand([x.shape[0], 1, -1]), x], 1) + self.places
        return self.fc(self.encoder(x)[:, 0])


class ConvNeXt(nn.Layer):
    """A depthwise convolution, a norm without parameters and two layers, channels last; a scaled branch."""

    def __init__(self, norm: nn.Layer | None = None) -> None:
        super().__init__()
        self.stem, self.spread = (
            nn.Conv2D(3, WIDTH, 4, stride=4),
            nn.Conv2D(WIDTH, WIDTH, 3, padding=1, groups=WIDTH),
        )
        self.norm = norm or nn.LayerNorm(WIDTH, weight_attr=False, bias_attr=False)
        self.up, self.down, self.fc = nn.Linear(WIDTH, 20), nn.Linear(20, WIDTH), nn.Linear(WIDTH, 5)
        self.scale = self.create_parameter([WIDTH], default_initializer=nn.initializer.Uniform(0.5, 1.5))

    def forward(self, image: Any) -> Any:
        x = self.stem(image)
        y = self.norm(self.spread(x).transpose([0, 2, 3, 1]))
        y = self.scale * self.down(F.gelu(self.up(y)))
        return self.fc((x + y.transpose([0, 3, 1, 2])).mean([2, 3]))


class PostNorm(nn.Layer):
    """An encoder as BERT's: embeddings, one layer with norms behind each branch, a pooler."""

    def __init__(self, reshaped: bool = False) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(20, WIDTH), nn.Embedding(8, WIDTH)
        self.first = nn.LayerNorm(WIDTH)
        self.encoder = nn.TransformerEncoderLayer(WIDTH, 3, 20, dropout=0.1, activation="gelu")
        self.pooler, self.fc = nn.Linear(WIDTH, 10), nn.Linear(10, 5)
        self.reshaped = reshaped

    def forward(self, tokens: Any) -> Any:
        x = self.words(tokens) + self.places(paddle.arange(tokens.shape[1]).unsqueeze(0))
        if self.reshaped:
            x = x.reshape([-1, tokens.shape[1], WIDTH])
        return self.fc(paddle.tanh(self.pooler(self.encoder(self.first(x))[:, 0])))


class TwoSources(nn.Layer):
    """One norm over the channels of two layers that go independently."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(4, 6), nn.Linear(4, 8), nn.LayerNorm(14)
        self.fc = nn.Linear(14, 5)

    def forward(self, x: Any) -> Any:
        return self.fc(F.relu(self.norm(paddle.concat([self.a(x), self.b(x)], -1))))


class Gated(nn.Layer):
    """One half of a layer's channels, normalised, is the gate of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm, self.fc = nn.Linear(4, 2 * WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 5)

    def forward(self, x: Any) -> Any:
        one, other = paddle.chunk(self.up(x), 2, -1)
        return self.fc(one * self.norm(other))


class OtherVariance(nn.LayerNorm):
    """Divides by one less than there are channels."""

    def forward(self, x: Any) -> Any:
        x = x - x.mean(-1, keepdim=True)
        variance = x.square().sum(-1, keepdim=True) / (x.shape[-1] - 1)
        return x * paddle.rsqrt(variance + self._epsilon) * self.weight + self.bias


Q, K, V = (f"encoder.self_attn.{name}_proj" for name in "qkv")
NETS: dict[str, tuple[Callable[[], nn.Layer], list[InputSpec], dict[str, tuple[int, tuple[str, ...]]]]] = {
    "norms behind branches": (
        PostNorm,
        TOKENS,
        {
            "words": (WIDTH, ("first", "encoder.norm1", "encoder.norm2")),
            Q: (3, ()),
            "encoder.linear1": (20, ()),
            "pooler": (10, ()),
        },
    ),
    "norms before branches": (
        PreNorm,
        IMAGES,
        {
            "patches": (WIDTH, ("encoder.layers.0.norm1", "encoder.layers.0.norm2", "encoder.norm")),
            "encoder.layers.0.self_attn.q_proj": (3, ()),
            "encoder.layers.0.linear1": (20, ()),
        },
    ),
    "convolutions": (ConvNeXt, IMAGES, {"stem": (WIDTH, ("norm",)), "up": (20, ())}),
    "a gate": (Gated, VECTORS, {"up": (WIDTH, ("norm",))}),
    "two sources": (TwoSources, VECTORS, {"a": (6, ("norm",)), "b": (8, ("norm",))}),
}


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
    model = Model(factory=f"{__name__}:{build.__name__}", inputs=inputs, pretrain=Pretrain(epochs=1))
    content = checkpoint.to_bytes(net, model)
    again = checkpoint.from_bytes(content)
    np.testing.assert_array_equal(proof.outputs(again, samples)[0], proof.outputs(net, samples)[0])
    assert checkpoint.to_bytes(again, model) == content
    assert [g.name for g in NativeEngine(again, inputs).groups] == [g.name for g in engine.groups]


def test_a_file_with_a_norm_that_is_too_wide_is_refused() -> None:
    net, _, _ = made("convolutions")
    model = Model(factory=f"{__name__}:ConvNeXt", inputs=IMAGES, pretrain=Pretrain(epochs=1))
    content = checkpoint.to_bytes(net, model)
    wrong = content.replace(b'normed\\": {\\"norm\\": 12', b'normed\\": {\\"norm\\": 13')
    with pytest.raises(MissingData, match="'norm' of the network does not normalise over 13 channels"):
        checkpoint.from_bytes(wrong)


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
        results = [(r.cut, r.output) for r in sweep.run(samples, cuts)]
    assert sweep.notes == []
    for cut, output in results:
        keep = {} if cut is None else {cut.group.name: cut.keep}
        with proof.masked(engine, keep):
            np.testing.assert_array_equal(output, proof.outputs(net, samples)[0])
        engine.cut(keep)
        assert proof.relative_difference([output], proof.outputs(net, samples)) <= proof.TOLERANCE
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
        settings = Repair(least_squares=way != "nothing", bias_correction=way != "nothing")
        done = repair_weights(net, groups, keep, samples, settings)
        engine.cut(keep)
        errors[way] = float(np.square(proof.outputs(net, [others])[0] - expected).mean())
        assert (done.fitted == ["2"]) == (way != "nothing")
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
