"""Groups found by probing: for every structure the right channels go together, proven, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from secateur_api.spec import DType, Engine, InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import proof
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.zoo.digits import residual_net
from tests.jobs.statistics import like_trained

pytestmark = pytest.mark.paddle
nn, F = paddle.nn, paddle.nn.functional
HEAD = "its channels are the model's output (head layer)"


class Net(nn.Layer):
    """Some layers and what to do with them."""

    def __init__(self, forward: Callable[..., Any], **layers: nn.Layer) -> None:
        super().__init__()
        self._function = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs: Any) -> Any:
        return self._function(self, *inputs)


def conv(inputs: int, outputs: int, kernel: int = 3, **options: Any) -> nn.Layer:
    return nn.Conv2D(inputs, outputs, kernel, padding=kernel // 2, **options)


def pool(x: paddle.Tensor) -> paddle.Tensor:
    return F.adaptive_avg_pool2d(x, 1).flatten(1)


def columns(x: paddle.Tensor) -> paddle.Tensor:
    """[batch, channels, height, width] to [batch, places, channels]."""
    return x.flatten(2).transpose([0, 2, 1])


def behind(*layers: nn.Layer, width: int = 16, function: Callable[..., Any] = lambda x: x) -> nn.Layer:
    """Return a convolution to 16 channels, then ``layers`` and ``function``, a mean, and a head."""
    chain = nn.Sequential(*layers)
    forward = lambda net, x: net.fc(pool(F.relu(function(net.chain(net.a(x))))))  # noqa: E731
    return Net(forward, a=conv(3, 16), chain=chain, fc=nn.Linear(width, 3))


IMAGE = [InputSpec(name="image", shape=[1, 3, 8, 8])]
IDS = [InputSpec(name="ids", shape=[1, 6], dtype=DType.INT64)]


def residual() -> nn.Layer:
    layers = {"a": conv(3, 16), "b": conv(16, 8), "c": conv(8, 16), "fc": nn.Linear(16, 3)}
    return Net(lambda n, x: n.fc(pool(F.relu(n.a(x) + n.c(F.relu(n.b(n.a(x))))))), **layers)


def concatenation() -> nn.Layer:
    layers = {"a": conv(3, 8), "b": conv(3, 12), "c": conv(20, 6), "fc": nn.Linear(6, 3)}
    return Net(
        lambda n, x: n.fc(F.relu(n.c(paddle.concat([n.b(x), F.relu(n.a(x))], 1))).mean([2, 3])), **layers
    )


def squeeze_and_excitation() -> nn.Layer:
    def forward(n: Any, x: Any) -> Any:
        y = F.relu(n.a(x))
        return n.fc(pool(y * F.sigmoid(n.up(F.relu(n.down(F.adaptive_avg_pool2d(y, 1)))))))

    return Net(forward, a=conv(3, 16), down=conv(16, 8, 1), up=conv(8, 16, 1), fc=nn.Linear(16, 3))


def flattened() -> nn.Layer:
    layers = {"a": conv(3, 8), "hidden": nn.Linear(8 * 16, 20), "fc": nn.Linear(20, 3)}
    return Net(lambda n, x: n.fc(F.relu(n.hidden(F.max_pool2d(n.a(x), 2).flatten(1)))), **layers)


def up_and_join() -> nn.Layer:
    def forward(n: Any, x: Any) -> Any:
        one = F.relu(n.a(x))
        two = F.interpolate(n.up(F.relu(n.b(F.max_pool2d(one, 4)))), scale_factor=2)
        return n.out(paddle.concat([two, one], 1))

    up = nn.Conv2DTranspose(12, 8, 2, stride=2)
    return Net(forward, a=conv(3, 16), b=conv(16, 12), up=up, out=conv(24, 2))


def recurrent(kind: type[nn.Layer]) -> nn.Layer:
    rnn = kind(12, 10, num_layers=2, direction="bidirect")
    layers = {"a": conv(3, 12), "rnn": rnn, "fc": nn.Linear(20, 3)}
    return Net(lambda n, x: n.fc(n.rnn(columns(F.max_pool2d(n.a(x), 2)))[0].mean(1)), **layers)


def handed_state() -> nn.Layer:
    def forward(n: Any, x: Any) -> Any:
        sequence, last = n.reader(columns(F.max_pool2d(n.a(x), 4)))
        return n.fc(n.writer(sequence, last)[0][:, -1])

    return Net(forward, a=conv(3, 8), reader=nn.GRU(8, 6), writer=nn.GRU(6, 6), fc=nn.Linear(6, 3))


def encoder() -> nn.Layer:
    layer = nn.TransformerEncoderLayer(24, 4, 20, dropout=0.1, activation="gelu")
    layers = {
        "embed": nn.Embedding(20, 24),
        "layers": nn.TransformerEncoder(layer, 1),
        "fc": nn.Linear(24, 3),
    }
    return Net(lambda n, ids: n.fc(n.layers(n.embed(ids)).mean(1)), **layers)


def embedding() -> nn.Layer:
    layers = {"embed": nn.Embedding(20, 24), "hidden": nn.Linear(24, 16), "fc": nn.Linear(16, 3)}
    return Net(lambda n, ids: n.fc(F.relu(n.hidden(n.embed(ids))).mean(1)), **layers)


def tied_weights() -> nn.Layer:
    layers = {"a": conv(3, 12), "b": conv(12, 12), "c": conv(12, 12), "fc": nn.Linear(12, 3)}
    net = Net(lambda n, x: n.fc(pool(F.relu(n.c(F.relu(n.b(F.relu(n.a(x)))))))), **layers)
    net.c.weight = net.b.weight
    return net


def called_twice() -> nn.Layer:
    layers = {"a": conv(3, 12), "b": conv(12, 12), "fc": nn.Linear(12, 3)}
    return Net(lambda n, x: n.fc(pool(F.relu(n.b(F.relu(n.b(F.relu(n.a(x)))))))), **layers)


def second_head_in_training() -> nn.Layer:
    def forward(n: Any, x: Any) -> Any:
        y = F.relu(n.a(x))
        outputs = n.fc(pool(F.relu(n.b(y))))
        return [outputs, n.extra(pool(y))] if n.training else outputs

    return Net(forward, a=conv(3, 12), b=conv(12, 8), extra=nn.Linear(12, 3), fc=nn.Linear(8, 3))


class LayerScale(nn.Layer):
    """A residual branch scaled, and shifted, by parameters of the network itself."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.fc = conv(3, 12), conv(12, 16), conv(16, 12), nn.Linear(12, 3)
        uniform = nn.initializer.Uniform(0.5, 1.0)
        self.scale = self.create_parameter([12, 1, 1], default_initializer=uniform)
        self.shift = self.create_parameter([1, 16, 1, 1], default_initializer=uniform)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.a(x))
        return self.fc(pool(x + self.scale * self.c(F.relu(self.b(x) + self.shift))))


class CountsCalls(nn.Layer):
    """An activation of the user's that counts in training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", paddle.zeros([1], "int64"))

    def forward(self, x: Any) -> Any:
        if self.training:
            self.calls.set_value(self.calls + 1)
        return F.relu(x)


Groups = dict[str, tuple[int, tuple[str, ...], tuple[str, ...], tuple[str, ...]]]
"""Name to channels, further producers, consumers, others."""
SELF = "layers.layers.0.self_attn"
FFN = "layers.layers.0.linear"

FOUND: dict[str, tuple[Callable[[], nn.Layer], list[InputSpec], Groups]] = {
    "residual": (residual, IMAGE, {"a": (16, ("c",), ("b", "fc"), ()), "b": (8, (), ("c",), ())}),
    "concat": (
        concatenation,
        IMAGE,
        {"a": (8, (), ("c",), ()), "b": (12, (), ("c",), ()), "c": (6, (), ("fc",), ())},
    ),
    "squeeze and excitation": (
        squeeze_and_excitation,
        IMAGE,
        {"a": (16, ("up",), ("down", "fc"), ()), "down": (8, (), ("up",), ())},
    ),
    "flatten": (flattened, IMAGE, {"a": (8, (), ("hidden",), ()), "hidden": (20, (), ("fc",), ())}),
    "transposed and interpolated": (
        up_and_join,
        IMAGE,
        {"a": (16, (), ("b", "out"), ()), "b": (12, (), ("up",), ()), "up": (8, (), ("out",), ())},
    ),
    "batch norm and prelu": (
        lambda: behind(nn.BatchNorm2D(16), nn.PReLU(16)),
        IMAGE,
        {"a": (16, (), ("fc",), ("chain.0", "chain.1"))},
    ),
    "instance norm": (lambda: behind(nn.InstanceNorm2D(16)), IMAGE, {"a": (16, (), ("fc",), ("chain.0",))}),
    "group norm": (lambda: behind(nn.GroupNorm(4, 16)), IMAGE, {"a": (4, (), ("fc",), ("chain.0",))}),
    "depthwise of two": (
        lambda: behind(conv(16, 32, groups=16), nn.BatchNorm2D(32), width=32),
        IMAGE,
        {"a": (16, (), ("fc",), ("chain.0", "chain.1"))},
    ),
    "narrow conv groups": (
        lambda: behind(conv(16, 16, groups=8)),
        IMAGE,
        {"a": (8, ("chain.0",), ("fc",), ())},
    ),
    "wide conv groups": (
        lambda: behind(conv(16, 16, groups=2)),
        IMAGE,
        {"a": (8, (), ("chain.0",), ()), "chain.0": (8, (), ("fc",), ())},
    ),
    "transposed conv groups": (
        lambda: behind(nn.Conv2DTranspose(16, 32, 2, stride=2, groups=8), width=32),
        IMAGE,
        {"a": (8, ("chain.0",), ("fc",), ())},
    ),
    "gate": (
        lambda: behind(width=8, function=lambda x: F.glu(x, axis=1)),
        IMAGE,
        {"a": (8, (), ("fc",), ())},
    ),
    "pixel shuffle": (
        lambda: behind(width=4, function=lambda x: F.pixel_shuffle(x, 2)),
        IMAGE,
        {"a": (4, (), ("fc",), ())},
    ),
    "lstm": (
        lambda: recurrent(nn.LSTM),
        IMAGE,
        {"a": (12, (), ("rnn",), ()), "rnn": (10, (), ("rnn", "fc"), ())},
    ),
    "gru": (
        lambda: recurrent(nn.GRU),
        IMAGE,
        {"a": (12, (), ("rnn",), ()), "rnn": (10, (), ("rnn", "fc"), ())},
    ),
    "state handed over": (
        handed_state,
        IMAGE,
        {"a": (8, (), ("reader",), ()), "reader": (6, ("writer",), ("reader", "writer", "fc"), ())},
    ),
    "transformer": (
        encoder,
        IDS,
        {
            "embed": (
                24,
                (f"{SELF}.out_proj", f"{FFN}2"),
                (f"{SELF}.q_proj", f"{SELF}.k_proj", f"{SELF}.v_proj", f"{FFN}1", "fc"),
                ("layers.layers.0.norm1", "layers.layers.0.norm2"),
            ),
            f"{SELF}.q_proj": (4, (f"{SELF}.k_proj", f"{SELF}.v_proj"), (f"{SELF}.out_proj",), ()),
            f"{FFN}1": (20, (), (f"{FFN}2",), ()),
        },
    ),
    "embedding": (embedding, IDS, {"embed": (24, (), ("hidden",), ()), "hidden": (16, (), ("fc",), ())}),
    "tied weights": (tied_weights, IMAGE, {"a": (12, ("b", "c"), ("b", "c", "fc"), ())}),
    "called twice": (called_twice, IMAGE, {"a": (12, ("b",), ("b", "fc"), ())}),
    "second head in training": (
        second_head_in_training,
        IMAGE,
        {"a": (12, (), ("b", "extra"), ()), "b": (8, (), ("fc",), ())},
    ),
    "counting layer": (lambda: behind(CountsCalls()), IMAGE, {"a": (16, (), ("fc",), ())}),
    "parameters of the network": (
        LayerScale,
        IMAGE,
        {"a": (12, ("c",), ("b", "fc"), ("(model)",)), "b": (16, (), ("c",), ("(model)",))},
    ),
}


def bits(net: nn.Layer) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in proof._state(net).items()}


def described(groups: list[ChannelGroup]) -> Groups:
    return {g.name: (g.channels, g.producers[1:], g.consumers, g.others) for g in groups}


@pytest.mark.parametrize("name", FOUND)
def test_what_goes_together_is_found_proven_and_restored(name):
    build, inputs, expected = FOUND[name]
    paddle.seed(1)
    net = like_trained(build())
    before = bits(net)
    engine = NativeEngine(net, inputs)
    assert bits(net) == before
    assert described(engine.groups) == expected
    proven, refused = proof.prove_groups(engine, inputs)
    assert described(proven) == expected
    assert refused == {}
    assert bits(net) == before


@pytest.mark.parametrize(
    ("build", "layer", "reason"),
    [
        (behind, "fc", HEAD),
        (lambda: Net(lambda n, x: n.fc(pool(n.a(x) + x)), a=conv(3, 3), fc=nn.Linear(3, 2)), "a", "input"),
        (lambda: behind(nn.GroupNorm(1, 16)), "a", "chain.0 takes mean and variance over these channels"),
        (lambda: behind(function=lambda x: F.softmax(x, axis=1)), "a", "all its channels mix before fc"),
        (lambda: behind(function=lambda x: F.normalize(x, axis=1)), "a", "all its channels mix before fc"),
        (lambda: behind(nn.utils.weight_norm(conv(16, 16))), "a", "chain.0 (Conv2D) cannot follow a cut"),
        (lambda: behind(function=lambda x: x.reshape([-1, 16, 8, 8])), "a", "counts on these widths"),
        (lambda: behind(function=lambda x: F.relu(x - 1e4)), "a", "no layer is seen to depend"),
        (
            lambda: behind(function=lambda x: x * float(np.random.rand())),
            "a",
            "different results for the same values",
        ),
    ],
    ids=[
        *("head", "input", "one norm group", "softmax", "unit length", "weight norm"),
        *("hard-wired width", "closed gate", "random forward"),
    ],
)
def test_what_cannot_be_cut_says_why(build, layer, reason):
    paddle.seed(1)
    net = build()
    engine = NativeEngine(net, IMAGE)
    proven, refused = proof.prove_groups(engine, IMAGE)
    assert layer not in {name for group in proven for name in group.producers}
    assert reason in (engine.reasons | refused)[layer]


def test_heads_of_a_wide_attention_are_found_in_few_runs():
    paddle.seed(1)
    attention = nn.MultiHeadAttention(120, 12)
    layers = {"embed": nn.Embedding(9, 120), "attention": attention, "norm": nn.LayerNorm(120)}
    net = Net(lambda n, ids: n.fc(n.norm(n.attention(n.embed(ids))).mean(1)), fc=nn.Linear(120, 3), **layers)
    engine = NativeEngine(net, IDS)
    projections = ("attention.q_proj", "attention.k_proj", "attention.v_proj")
    assert described(engine.groups) == {
        "embed": (120, (), projections, ()),
        "attention.q_proj": (12, projections[1:], ("attention.out_proj",), ()),
        "attention.out_proj": (120, (), ("fc",), ("norm",)),
    }
    assert all(list(np.bincount(s.owner)) == [10] * 12 for s in engine.groups[1].slices)
    assert [group.step(8) for group in engine.groups] == [8, 1, 8]  # a head has ten channels
    assert engine.forwards < 150  # one channel at a time would take 480


def test_a_hidden_unit_is_one_channel_however_many_gates_it_has():
    paddle.seed(1)
    engine = NativeEngine(recurrent(nn.LSTM), IMAGE)
    assert {group.name: group.step(8) for group in engine.groups} == {"a": 8, "rnn": 8}


def test_both_engines_make_the_same_network():
    inputs = [InputSpec(name="image", shape=[1, 1, 16, 16])]
    nets = [like_trained(residual_net(width=8)) for _ in range(2)]
    nets[1].set_state_dict(nets[0].state_dict())
    engines = [
        make_engine(e, net, inputs) for e, net in zip((Engine.NATIVE, Engine.PADDLESLIM), nets, strict=True)
    ]
    assert [g.name for g in engines[0].groups] == [g.name for g in engines[1].groups]
    for engine in engines:
        engine.cut({g.name: np.arange(g.channels) % 3 != i % 3 for i, g in enumerate(engines[0].groups)})
        engine.freeze()
    assert bits(nets[0]) == bits(nets[1])


def test_a_final_cut_can_be_trained_and_cut_again():
    paddle.seed(1)
    net = like_trained(recurrent(nn.LSTM))
    engine = NativeEngine(net, IMAGE)
    engine.cut({"a": np.arange(12) < 7, "rnn": np.arange(10) % 2 == 0})
    engine.freeze()
    assert (net.rnn.input_size, net.rnn.hidden_size) == (7, 5)
    net.train()
    optimizer = paddle.optimizer.Adam(parameters=net.parameters())
    losses = []
    for _ in range(5):
        loss = F.cross_entropy(net(paddle.ones([4, 3, 8, 8])), paddle.zeros([4], "int64"))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    net.eval()
    again, refused = proof.prove_groups(NativeEngine(net, IMAGE), IMAGE)
    assert [(g.name, g.channels) for g in again] == [("a", 7), ("rnn", 5)]
    assert refused == {}


def test_gradients_of_the_uncut_net_are_not_added_to_those_of_the_cut_one():
    net = behind(nn.BatchNorm2D(16))
    net(paddle.ones([2, 3, 8, 8])).sum().backward()
    engine = NativeEngine(net, IMAGE)
    engine.cut({"a": np.arange(16) < 5})
    net(paddle.ones([2, 3, 8, 8])).sum().backward()
    assert net.a.weight.grad.shape == [5, 3, 3, 3]
    engine.restore()
