"""The proof tells wrong cuts from right ones however a net damps, saturates or adds up."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.spec import InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import proof
from secateur_jobs.pruning.engine import ChannelGroup, Slice
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.pruning.received import in_float64

pytestmark = pytest.mark.paddle
nn, F = paddle.nn, paddle.nn.functional
QKV = [("weight", 1), ("bias", 0)]
TOKENS = [InputSpec(name="x", shape=[1, 5, 12])]


class Heads(nn.Layer):
    """Attention whose heads are a number in ``forward``; weights as every ViT starts."""

    def __init__(self, ending: str) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(12, 36), nn.Linear(12, 12)
        self.head, self.ending = nn.Linear(12, 3), ending
        for layer in (self.qkv, self.proj, self.head):
            layer.weight.set_value(
                np.random.default_rng(4).normal(0, 0.02, layer.weight.shape).astype("float32")
            )

    def forward(self, x):
        q, k, v = self.qkv(x).reshape([0, 0, 3, 4, -1]).transpose([2, 0, 3, 1, 4])
        weights = F.softmax(q @ k.transpose([0, 1, 3, 2]) * 0.5, -1)
        x = x + self.proj((weights @ v).transpose([0, 2, 1, 3]).flatten(2))
        if self.ending == "float32":
            x = x.astype("float32")
        y = self.head(x.mean(1))
        return F.softmax(y * 1e6) if self.ending == "saturated" else y


def engine_of(net: nn.Layer) -> NativeEngine:
    net.eval()
    return NativeEngine(net, TOKENS)


@pytest.mark.parametrize("ending", ["plain", "saturated", "float32"])
def test_a_cut_that_mixes_heads_is_refused_however_little_the_output_shows(ending):
    engine = engine_of(Heads(ending))
    # neighbours across the heads, where the reshape takes a part of each head
    slices = [Slice("qkv", name, axis, np.arange(36) % 12 // 4, "out") for name, axis in QKV]
    slices.append(Slice("proj", "weight", 0, np.arange(12) // 4, "in"))
    engine.groups = [ChannelGroup("qkv", 3, tuple(slices))]
    proven, refused = proof.prove_groups(engine, TOKENS)
    assert proven == []
    assert "broken without warning" in refused["qkv"]


class Wide(Heads):
    """A right cut of a layer whose sums are long and of mixed sign, so that float32 loses digits."""

    def __init__(self, ending: str) -> None:
        super().__init__(ending)
        self.up, self.down = nn.Linear(12, 512), nn.Linear(512, 12)
        self.up.weight.set_value(1e3 * self.up.weight)

    def forward(self, x):
        x = self.down(F.relu(self.up(x))) - self.down(F.relu(self.up(x) * 0.999))
        y = self.head((x.astype("float32") if self.ending == "float32" else x).mean(1))
        return F.softmax(y * 1e6) if self.ending == "saturated" else y


@pytest.mark.parametrize("ending", ["plain", "saturated"])
def test_a_right_cut_is_proven(ending):
    paddle.seed(3)
    proven, refused = proof.prove_groups(engine_of(Wide(ending)), TOKENS)
    assert "up" in [group.name for group in proven]
    assert "up" not in refused


def test_float64_is_left_without_a_trace():
    net = nn.Sequential(nn.LSTM(4, 6), nn.BatchNorm1D(5))
    x = paddle.to_tensor(np.random.default_rng(0).standard_normal([2, 5, 4]).astype("float32"))
    net.eval()
    before = {name: value.numpy().tobytes() for name, value in net.state_dict().items()}
    output = net[0](x)[0]
    with in_float64(net):
        double = net[0](x.astype("float64"))[0]
        assert double.dtype == paddle.float64
        assert paddle.zeros([1]).dtype == paddle.float64
    assert np.abs(double.numpy() - output.numpy()).max() < 1e-6
    assert np.array_equal(net[0](x)[0].numpy(), output.numpy())
    assert {name: value.numpy().tobytes() for name, value in net.state_dict().items()} == before
    assert paddle.zeros([1]).dtype == paddle.float32
