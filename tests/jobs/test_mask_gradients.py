"""Fisher against one backward pass per sample, on units of every kind."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria import criterion_function
from secateur_jobs.pruning.engine import ChannelGroup, Slice
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.batching import ArrayDataset

pytestmark = pytest.mark.paddle
nn = paddle.nn
SAMPLES, CLASSES = 12, 3


class Residual(nn.Layer):
    """A trunk of 6 channels that three layers read; one of them is a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2D(2, 6, 3)
        self.inner = nn.Conv2D(6, 6, 3, padding=1, groups=2)
        self.up = nn.Conv2DTranspose(6, 4, 2)
        self.fc = nn.Linear(6 * 16, CLASSES)
        self.side = nn.Linear(4, CLASSES)

    def forward(self, x):
        x = nn.functional.relu(self.stem(x))
        y = x + self.inner(x)
        return self.fc(y.flatten(1)) + self.side(self.up(x).mean([2, 3]))


class Sequence(nn.Layer):
    """A projection of 6 features into a two-way LSTM with time first, whose output of 4 per way is read."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(5, 6)
        self.lstm = nn.LSTM(6, 4, num_layers=2, direction="bidirect", time_major=True, dropout=0.5)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.project(x.reshape([-1, 5])).reshape([x.shape[0], -1, 6])
        return self.fc(self.lstm(x.transpose([1, 0, 2]))[0].mean(0))


class Attention(nn.Layer):
    """Two heads of 3 features each."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiHeadAttention(6, 2)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x):
        return self.fc(self.attend(x, x, x).mean(1))


def group(name: str, units: int, *slices: tuple) -> ChannelGroup:
    """Return a group of (layer, parameter, axis, owner, role)."""
    return ChannelGroup(name, units, tuple(Slice(a, b, c, np.asarray(d), e) for a, b, c, d, e in slices))


TRUNK = [0, 1, 2, 0, 1, 2]  # the offset within each of the grouped convolution's two groups
GATES = np.tile(np.arange(4), 4)
CASES = {
    "residual": (
        Residual,
        (2, 6, 6),
        group(
            "stem",
            3,
            ("stem", "weight", 0, TRUNK, "out"),
            ("inner", "weight", 1, [0, 1, 2], "in"),
            ("inner", "weight", 0, TRUNK, "out"),
            ("up", "weight", 0, TRUNK, "in"),
            ("fc", "weight", 0, np.repeat(TRUNK, 16), "in"),
        ),
    ),
    "sequence": (
        Sequence,
        (7, 5),
        group(
            "project",
            6,
            ("project", "weight", 1, range(6), "out"),
            ("lstm", "weight_ih_l0", 1, range(6), "in"),
            ("lstm", "weight_ih_l0_reverse", 1, range(6), "in"),
        ),
    ),
    "heads": (
        Attention,
        (4, 6),
        group(
            "attend.q_proj",
            2,
            ("attend.q_proj", "weight", 1, np.repeat([0, 1], 3), "out"),
            ("attend.out_proj", "weight", 0, np.repeat([0, 1], 3), "in"),
        ),
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    build, shape, found = CASES[request.param]
    paddle.seed(1)
    net = build()
    random = np.random.default_rng(0)
    data = ArrayDataset(
        [
            random.standard_normal((SAMPLES, *shape)).astype("float32"),
            random.integers(0, CLASSES, SAMPLES),
        ]
    )
    return net, found, data


def one_by_one(net, found, data) -> np.ndarray:
    """Return the sum of weight x gradient over the consumers' weights, sample by sample: [samples, units]."""
    net.eval()
    for layer in net.sublayers():
        if isinstance(layer, nn.LSTM):
            layer.training, layer.dropout = True, 0.0  # Paddle's operator has no gradient in evaluation mode
    rows = np.zeros((SAMPLES, found.channels))
    layers = dict(net.named_sublayers())
    for sample in range(SAMPLES):
        x, label = (paddle.to_tensor(column[sample : sample + 1]) for column in data.arrays)
        nn.functional.cross_entropy(net(x), label).backward()
        for piece in found.slices_of("in"):
            weight = getattr(layers[piece.layer], piece.parameter)
            product = np.moveaxis((weight.numpy() * weight.grad.numpy()), piece.axis, 0)
            for position, unit in enumerate(piece.owner):
                rows[sample, unit] += product[position].sum()
        net.clear_gradients()
    return rows


def test_one_sweep_finds_what_one_pass_per_sample_finds(case):
    net, found, data = case
    calibration = Calibration(net, data, Evaluation())
    fisher = criterion_function("fisher")(net, found, calibration)
    expected = one_by_one(net, found, data)
    assert np.allclose(fisher, np.square(expected).mean(axis=0), rtol=1e-3)
    assert fisher.min() > 0


def test_the_recurrence_of_an_lstm_counts_by_its_weights():
    paddle.seed(1)
    net = Sequence()
    random = np.random.default_rng(0)
    x = random.standard_normal((1, 7, 5)).astype("float32")
    data = ArrayDataset([np.repeat(x, 4, axis=0), np.full(4, 1)])
    names = [f"weight_{kind}{way}" for kind in ("hh_l0", "ih_l1", "hh_l1") for way in ("", "_reverse")]
    inside = [
        ("lstm", name, 1, np.tile(np.arange(4), 2) if "ih" in name else np.arange(4), "in") for name in names
    ]
    found = group(
        "lstm",
        4,
        ("lstm", "weight_ih_l0", 0, GATES, "out"),
        *inside,
        ("fc", "weight", 0, np.tile(np.arange(4), 2), "in"),
    )
    calibration = Calibration(net, data, Evaluation())
    net.eval()
    scores = criterion_function("fisher")(net, found, calibration)
    outside = criterion_function("fisher")(
        net, group("lstm", 4, ("fc", "weight", 0, [*range(4)] * 2, "in")), calibration
    )
    assert net.lstm.dropout == 0.5
    assert not net.lstm.training
    one = one_by_one(
        net, group("lstm", 4, *inside), ArrayDataset([np.repeat(x, SAMPLES, 0), np.full(SAMPLES, 1)])
    )
    assert np.allclose(scores - outside, 4 * one[0] ** 2, rtol=1e-3)  # the sum of 4 equal samples


def test_a_loss_that_does_not_use_a_layer_gives_it_nothing(case):
    net, found, data = case
    calibration = Calibration(net, data, Evaluation(loss="tests.jobs.test_mask_gradients:constant"))
    assert not criterion_function("fisher")(net, found, calibration).any()


def constant(output, label):
    """A loss that the net has no say in."""
    return (output * 0).sum()


def test_a_loss_that_is_not_finite_is_refused(case):
    net, found, data = case
    calibration = Calibration(net, data, Evaluation(loss="tests.jobs.test_training:nan_loss"))
    with pytest.raises(InvalidInput, match=r"spec.evaluation.loss: .*nan_loss is nan on training samples"):
        criterion_function("fisher")(net, found, calibration)


def test_random_scores_follow_seed_and_name(case):
    net, found, data = case
    score = criterion_function("random")
    one = score(net, found, Calibration(net, data, Evaluation(), seed=1))
    assert np.array_equal(one, score(net, found, Calibration(net, data, Evaluation(), seed=1)))
    assert not np.array_equal(one, score(net, found, Calibration(net, data, Evaluation(), seed=2)))
    other = group("another", found.channels)
    assert not np.array_equal(one, score(net, other, Calibration(net, data, Evaluation(), seed=1)))


@pytest.mark.parametrize("name", ["l1_norm", "activation", "taylor"])
def test_every_criterion_scores_units_of_any_kind(case, name):
    net, found, data = case
    scores = criterion_function(name)(net, found, Calibration(net, data, Evaluation()))
    assert scores.shape == (found.channels,)
    assert np.isfinite(scores).all()
    assert len(set(scores)) == found.channels
