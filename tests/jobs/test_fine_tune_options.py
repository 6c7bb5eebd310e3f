"""Options of the fine-tuning on a tiny net: each does what it says, and nothing when off."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import Distillation, EarlyStop, Evaluation, PruningJobSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.training.batching import ArrayDataset, Part, batch_count, gather, shuffled
from secateur_jobs.training.distillation import distillation_loss
from secateur_jobs.training.early_stop import Watch, upper_bound
from secateur_jobs.training.features import Taps, comparable_layers, feature_distance
from secateur_jobs.training.form import Form
from secateur_jobs.training.forward import forward
from secateur_jobs.training.losses import loss_function
from secateur_jobs.training.metrics import sample_scores
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.teacher import load_teacher
from secateur_jobs.training.train import train
from tests.jobs.stages import digits_spec

pytestmark = pytest.mark.paddle
_EVALUATION = Evaluation(batch_size=64)
_SETTINGS = {"epochs": 2, "learning_rate": 0.01, "batch_size": 16, "seed": 3}
nn = paddle.nn


class Block(nn.Layer):
    """Two convolutions, of which only the outer width shows outside."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(4, inner, 3, padding=1)
        self.bn = nn.BatchNorm2D(inner)
        self.conv2 = nn.Conv2D(inner, 4, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(nn.functional.relu(self.bn(self.conv1(x))))


class TinyNet(nn.Layer):
    """A stem, two blocks, a head."""

    def __init__(self, inner: int = 6, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2D(1, 4, 3, padding=1)
        self.block1 = Block(inner)
        self.block2 = Block(inner)
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        return self.fc(self.block2(self.block1(self.stem(x))).mean(axis=[2, 3]))


def _net(seed: int = 0, inner: int = 6) -> TinyNet:
    seed_everything(seed)
    return TinyNet(inner)


@pytest.fixture(scope="module")
def data() -> ArrayDataset:
    """Three patterns in noise, easy to tell."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 96)
    images = draw.normal(0, 0.5, (96, 1, 8, 8)) + np.sin(np.arange(8) * (labels[:, None] + 1))[:, None, None]
    return ArrayDataset([images.astype(np.float32), labels])


def _weights(net: nn.Layer) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in net.state_dict().items()}


def _trained(data: ArrayDataset, net: nn.Layer | None = None, **options) -> dict[str, np.ndarray]:
    net = net or _net()
    train(
        net, data, _EVALUATION, **{"epochs": 2, "learning_rate": 0.01, "batch_size": 16, "seed": 3, **options}
    )
    return _weights(net)


def _same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def _plain_loop(data: ArrayDataset, teacher: nn.Layer) -> dict[str, np.ndarray]:
    """The training as it was before it had any of these options, written out."""
    net, settings, loss_of = _net(), Distillation(), loss_function(_EVALUATION, Form(False, "0"))
    draw = np.random.default_rng(3)
    chosen = draw.permutation(len(data))[: round(len(data) * 0.5)]
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(0.01, T_max=2 * batch_count(len(chosen), 16))
    decayed = {p.name for p in net.parameters() if p.ndim > 1}
    adam = paddle.optimizer.AdamW(
        schedule, parameters=net.parameters(), weight_decay=0.01, apply_decay_param_fun=decayed.__contains__
    )
    teacher.eval()
    for epoch in range(2):
        seed_everything(3 + epoch)
        net.train()
        for batch in shuffled(len(chosen), 16, draw):
            *inputs, labels = gather(data, chosen[batch])
            output = forward(net, inputs)
            loss = loss_of(output, labels)
            with paddle.no_grad():
                target = forward(teacher, inputs)
            loss = 0.3 * loss + 0.7 * distillation_loss(output, target, labels, "0", _EVALUATION, settings)
            loss.backward()
            adam.step()
            adam.clear_grad()
            schedule.step()
    return _weights(net)


def test_without_options_every_byte_is_that_of_the_plain_loop(data: ArrayDataset) -> None:
    found = _trained(data, fraction=0.5, teacher=_net(7), distillation=Distillation())
    assert _same(found, _plain_loop(data, _net(7)))


def test_mixed_precision_changes_nothing_on_the_cpu(data: ArrayDataset) -> None:
    assert _same(_trained(data, amp=True), _trained(data))


def test_the_average_is_that_of_the_steps_and_forgets_the_start(data: ArrayDataset) -> None:
    net, decay, steps = _net(), 0.8, []
    seen: list[np.ndarray] = []
    _trained(
        data,
        net,
        ema=decay,
        on_batch=lambda done, total: steps.append(net.fc.weight.numpy()),
        on_epoch=lambda epoch, loss: seen.append(net.fc.weight.numpy()),
    )
    shares = decay ** np.arange(len(steps))[::-1]
    expected = np.tensordot(shares / shares.sum(), np.stack(steps), 1)
    np.testing.assert_allclose(net.fc.weight.numpy(), expected, rtol=1e-4, atol=1e-6)
    assert np.array_equal(seen[-1], net.fc.weight.numpy())
    plain: list[np.ndarray] = []
    other = _net()
    _trained(data, other, on_batch=lambda done, total: plain.append(other.fc.weight.numpy()))
    assert all(np.array_equal(a, b) for a, b in zip(steps, plain, strict=True))  # training itself is the same


def test_clipping_bounds_the_gradient(data: ArrayDataset) -> None:
    start = _weights(_net())
    # far below AdamW's epsilon: a gradient that was clipped moves nothing but the decay does
    held = _trained(data, clip=1e-12)
    free = _trained(data)
    moved = [np.abs(found["fc.bias"] - start["fc.bias"]).max() for found in (held, free)]
    assert 0 < moved[0] < 0.01 * moved[1]


def test_the_bound_is_that_of_agresti_and_min() -> None:
    better = np.array([1.0] * 8 + [-1.0] * 2 + [0.0] * 90)
    mean, second = 6 / 102, 11 / 102
    expected = mean + 1.6449 * np.sqrt((second - mean**2) / 102)
    assert upper_bound(better, 0.95) == pytest.approx(expected, abs=1e-4)
    assert upper_bound(np.zeros(20), 0.95) > 0.05  # few samples without any change prove nothing
    assert upper_bound(np.zeros(5000), 0.95) < 0.001


def test_the_bound_covers_what_it_claims() -> None:
    draw = np.random.default_rng(0)
    differences = draw.choice([-1.0, 0.0, 1.0], p=[0.03, 0.92, 0.05], size=(2000, 150))
    covered = np.mean([upper_bound(one, 0.95) >= 0.02 for one in differences])
    assert covered >= 0.94


def _watch(data: ArrayDataset, gain: float) -> Watch:
    scores = sample_scores(_EVALUATION)
    assert scores is not None
    return Watch(EarlyStop(gain=gain), _EVALUATION, scores, data, baseline=1.0)


def test_training_goes_on_while_it_gains_and_stops_where_it_does_not(data: ArrayDataset) -> None:
    net, idle = _net(), _net()
    trained, held = Part(data, np.arange(0, 96, 2)), Part(data, np.arange(1, 96, 2))
    watch, lazy = _watch(held, 0.3), _watch(held, 0.3)
    assert watch.look(net) is None
    assert lazy.look(idle) is None
    losses = train(
        idle,
        trained,
        _EVALUATION,
        epochs=6,
        learning_rate=1e-9,
        batch_size=16,
        seed=3,
        on_epoch=lambda epoch, loss: lazy.look(idle) is not None,
    )
    assert len(losses) == 1
    _trained(trained, net, epochs=4, learning_rate=0.02)
    assert watch.look(net) is None  # from chance to nearly all


def test_features_are_those_of_uncut_block_ends(data: ArrayDataset) -> None:
    student, teacher = _net(0, inner=3), _net(1)
    inputs = [data.arrays[0][:2]]
    assert comparable_layers(student, teacher, inputs) == ["block1", "block2"]
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3))
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 3))
    assert comparable_layers(narrow, plain, inputs) == ["0"]  # no block; the head is the output itself
    assert comparable_layers(plain, _net(), inputs) == []


def test_the_feature_term_draws_the_student_to_the_teacher(data: ArrayDataset) -> None:
    teacher, layers = _net(1), ["block1", "block2"]

    def distance(net: nn.Layer) -> float:
        net.eval()
        taps = Taps(net, layers), Taps(teacher, layers)
        for one in (net, teacher):
            forward(one, [data.arrays[0]])
        found = float(feature_distance(taps[0].outputs, taps[1].outputs))
        for one in taps:
            one.close()
        return found

    drawn, alone = _net(0, inner=3), _net(0, inner=3)
    before = distance(_net(0, inner=3))
    _trained(data, drawn, teacher=teacher, distillation=Distillation(weight=0, features=10), features=layers)
    _trained(data, alone)
    assert distance(teacher) == 0
    assert distance(drawn) < 0.7 * min(before, distance(alone))
    assert not drawn.block1._forward_post_hooks


def _spec_with_teacher(uri: str, classes: int = 3, **weights: str) -> PruningJobSpec:
    teacher = {
        "factory": f"{__name__}:TinyNet",
        "args": {"inner": 12, "classes": classes},
        "weights": {"uri": uri, **weights},
    }
    spec = digits_spec(fineTune={"distillation": {"teacher": teacher}})
    spec["model"]["inputs"] = [{"name": "image", "shape": [1, 1, 8, 8]}]
    return PruningJobSpec.model_validate(spec)


def test_a_larger_teacher_is_loaded_and_checked(tmp_path) -> None:
    file = tmp_path / "teacher.npz"
    net, larger, wrong = _net(), TinyNet(12), TinyNet(12, 5)
    np.savez(file, **_weights(larger))
    assert load_teacher(PruningJobSpec.model_validate(digits_spec()), net) is None
    found = load_teacher(_spec_with_teacher(str(file)), net)
    assert found is not None
    assert _same(_weights(found), _weights(larger))
    assert not found.training
    where = r"^spec\.fineTune\.distillation\.teacher"
    with pytest.raises(MissingData, match=where + r"\.weights\.uri: there is no file"):
        load_teacher(_spec_with_teacher(str(tmp_path / "none.npz")), net)
    digest = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(InvalidInput, match=where + rf"\.weights\.sha256: .* expected {digest}"):
        load_teacher(_spec_with_teacher(str(file), sha256=digest), net)
    with pytest.raises(InvalidInput, match=where + r"\.weights\.uri: .* other shapes.*check spec\.fine"):
        load_teacher(_spec_with_teacher(str(file), classes=5), net)
    np.savez(file, **_weights(wrong))
    with pytest.raises(
        InvalidInput, match=where + r": .* outputs 0 \[1, 5\], the model 0 \[1, 3\]"
    ) as caught:
        load_teacher(_spec_with_teacher(str(file), classes=5), net)
    assert caught.value.reason is Reason.FACTORY_FAILED
