"""Repair of a cut without labels: what the kept channels can say for the removed ones is said."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.engine import ChannelGroup, Slice
from secateur_jobs.pruning.repair import Repaired, repair_weights
from secateur_jobs.training.batching import ArrayDataset

pytestmark = pytest.mark.paddle
nn = paddle.nn
WIDTH, CUT, TWIN = 6, 4, 1


class Net(nn.Layer):
    """A convolution to 6 channels of 6x6, ReLU, and a head that reads them."""

    def __init__(self, head: nn.Layer, *, lines: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2D(2, WIDTH, 3, padding=1)
        self.head = head
        self.lines = lines

    def forward(self, x):
        x = nn.functional.relu(self.stem(x))
        if self.lines:  # [batch, time, features]
            return self.head(x.mean(2).transpose([0, 2, 1]))[0]
        return self.head(x)


HEADS = {
    "conv": lambda: nn.Conv2D(WIDTH, 4, 3, padding=1, bias_attr=False),
    "transposed": lambda: nn.Conv2DTranspose(WIDTH, 4, 3, stride=2),
    "linear": lambda: nn.Sequential(nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(WIDTH, 4)),
    "flat": lambda: nn.Sequential(nn.Flatten(), nn.Linear(WIDTH * 36, 4)),
    "lstm": lambda: nn.LSTM(WIDTH, 4, direction="bidirect"),
}
READS = {
    "conv": [("head", "weight", 1, 1)],
    "transposed": [("head", "weight", 0, 1)],
    "linear": [("head.2", "weight", 0, 1)],
    "flat": [("head.1", "weight", 0, 36)],
    "lstm": [("head", "weight_ih_l0", 1, 1), ("head", "weight_ih_l0_reverse", 1, 1)],
}


def made(kind: str) -> tuple[Net, ChannelGroup]:
    """Return a net whose channel CUT is twice the channel TWIN, and the group of the stem."""
    paddle.seed(2)
    net = Net(HEADS[kind](), lines=kind == "lstm")
    weight, bias = net.stem.weight.numpy(), net.stem.bias.numpy()
    weight[CUT], bias[CUT] = 2 * weight[TWIN], 2 * bias[TWIN]
    net.stem.weight.set_value(weight)
    net.stem.bias.set_value(bias)
    slices = [Slice("stem", "weight", 0, np.arange(WIDTH), "out")]
    slices += [Slice(a, b, c, np.repeat(np.arange(WIDTH), times), "in") for a, b, c, times in READS[kind]]
    net.eval()
    return net, ChannelGroup("stem", WIDTH, tuple(slices))


def samples_of(net: nn.Layer, count: int = 96) -> Calibration:
    images = np.random.default_rng(3).standard_normal((count, 2, 6, 6)).astype("float32")
    return Calibration(net, ArrayDataset([images, np.zeros(count, "int64")]), Evaluation(), samples=count)


def keep_all_but(*channels: int) -> dict[str, np.ndarray]:
    keep = np.ones(WIDTH, bool)
    keep[list(channels)] = False
    return {"stem": keep}


def without(net: Net, channels: list[int]) -> None:
    """Silence channels at their producer: a ReLU lies behind it, so zero is what consumers then read."""
    weight, bias = net.stem.weight.numpy(), net.stem.bias.numpy()
    weight[channels], bias[channels] = 0, 0
    net.stem.weight.set_value(weight)
    net.stem.bias.set_value(bias)


def output(net: Net, samples: Calibration) -> np.ndarray:
    with paddle.no_grad():
        return net(paddle.to_tensor(samples.batches[0][0])).numpy()


@pytest.mark.parametrize("kind", HEADS)
def test_a_channel_that_another_one_can_stand_in_for_is_not_missed(kind):
    net, group = made(kind)
    samples = samples_of(net, 512 if kind == "flat" else 96)
    full = output(net, samples)
    done = repair_weights(net, [group], keep_all_but(CUT), samples)
    assert done.fitted == [READS[kind][0][0]]
    without(net, [CUT])
    assert np.abs(output(net, samples) - full).max() < 0.01 * np.abs(full).max()

    bare, group = made(kind)
    without(bare, [CUT])
    assert np.abs(output(bare, samples) - full).max() > 0.05 * np.abs(full).max()


def test_least_squares_lowers_the_error_on_other_samples():
    net, group = made("conv")
    samples, others = samples_of(net, 96), np.random.default_rng(8).standard_normal((32, 2, 6, 6))
    others = paddle.to_tensor(others.astype("float32"))
    errors = []
    with paddle.no_grad():
        full = net(others).numpy()
        for repaired in (False, True):
            fresh, group = made("conv")
            if repaired:
                repair_weights(fresh, [group], keep_all_but(0, 3), samples)
            without(fresh, [0, 3])
            errors.append(float(np.square(fresh(others).numpy() - full).mean()))
    assert errors[1] < 0.8 * errors[0]


def test_without_a_cut_nothing_changes():
    net, group = made("conv")
    before = {k: v.numpy().tobytes() for k, v in net.state_dict().items()}
    assert repair_weights(net, [group], {}, samples_of(net)) == Repaired()
    assert {k: v.numpy().tobytes() for k, v in net.state_dict().items()} == before


def test_a_layer_that_cannot_be_repaired_is_left_alone_with_its_reason(monkeypatch):
    net, group = made("conv")
    grouped = ChannelGroup("stem", 3, (Slice("head", "weight", 1, np.arange(3), "in"),))
    net.head = nn.Conv2D(WIDTH, 4, 3, groups=2)
    done = repair_weights(net, [grouped], {"stem": np.array([1, 0, 1], bool)}, samples_of(net))
    assert done == Repaired(skipped={"head": "it is a grouped convolution"})

    net, group = made("conv")
    net.other = nn.Conv2D(WIDTH, 4, 3, bias_attr=False)
    net.other.weight = net.head.weight
    done = repair_weights(net, [group], keep_all_but(CUT), samples_of(net))
    assert done == Repaired(skipped={"head": "another layer uses its weight"})

    net, group = made("conv")
    monkeypatch.setattr("secateur_jobs.pruning.observation.LARGEST_GRAM", WIDTH - 1)
    done = repair_weights(net, [group], keep_all_but(CUT), samples_of(net))
    assert done.fitted == []
    assert "input channels" in done.skipped["head"]
