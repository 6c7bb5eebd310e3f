"""Networks with several outputs: each is named, the one that is judged is known, all are distilled."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import Distillation, Engine, Evaluation, InputSpec, Model, Pretrain, Sensitivity
from secateur_jobs.data.check import check_data
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.gradients import sweep
from secateur_jobs.pruning.sensitivity import bounded, exact
from secateur_jobs.pruning.sensitivity.sweep import Cut, Sweep
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.batching import ArrayDataset
from secateur_jobs.training.distillation import distillation_loss
from secateur_jobs.training.drift import drift, note_of
from secateur_jobs.training.evaluate import evaluate, evaluate_with
from secateur_jobs.training.forward import forward, read
from secateur_jobs.training.outputs import Outputs, judged, rebuilt
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.train import train
from secateur_jobs.user_code import Splits
from tests.jobs.losses import mean_loss

pytestmark = pytest.mark.paddle
nn = paddle.nn
F = paddle.nn.functional
Arrange = Callable[[Any, Any], Any]
_MODEL = Model(factory="a:b", inputs=[InputSpec(name="x", shape=[1, 6])], pretrain=Pretrain(epochs=1))


class Heads(nn.Layer):
    """Two classifiers over one trunk; ``arrange`` is how ``forward`` returns them."""

    def __init__(self, arrange: Arrange = lambda a, b: (a, b)) -> None:
        super().__init__()
        self.trunk, self.first, self.second = nn.Linear(6, 12), nn.Linear(12, 3), nn.Linear(12, 4)
        self.second.bias.set_value(np.array([0, 0, 0, -100], np.float32))  # so that labels fit both
        self._arrange = arrange

    def forward(self, x: Any) -> Any:
        y = F.relu(self.trunk(x))
        return self._arrange(self.first(y), self.second(y))


def _data(net: nn.Layer, name: str = "0", count: int = 40) -> ArrayDataset:
    """Return samples whose labels are what one output of ``net`` says, but for each fourth."""
    x = np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)
    net.eval()
    labels = forward(net, [x]).tensors[name].numpy().argmax(-1)
    labels[::4] = (labels[::4] + 1) % 3
    return ArrayDataset([x, labels])


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("users_outputs")
    monkeypatch.setitem(sys.modules, "users_outputs", module)
    return module


@pytest.mark.parametrize(
    ("arrange", "words"),
    [
        (lambda a, b: a, "0 [2, 3]"),
        (lambda a, b: (a, None), "0 [2, 3]"),
        (lambda a, b: (None, a), "1 [2, 3]"),
        (lambda a, b: [a, (b, a)], "0 [2, 3], 1.0 [2, 4], 1.1 [2, 3]"),
        (lambda a, b: {"y": a, "b": [b]}, "b.0 [2, 4], y [2, 3]"),
        (lambda a, b: (a, b.argmax(-1)), "0 [2, 3], 1 [2] (paddle.int64)"),
    ],
)
def test_outputs_are_named_by_their_place(arrange: Arrange, words: str) -> None:
    found = forward(Heads(arrange), [np.zeros((2, 6), np.float32)])
    assert str(found) == words
    tensors = paddle.utils.flatten(arrange(paddle.ones([2, 3]), paddle.ones([2, 4])))
    assert [t.shape for t in found.tensors.values()] == [t.shape for t in tensors if t is not None]
    arrays = found.arrays()
    assert rebuilt(arrays.structure, list(arrays.tensors.values())).tensors == arrays.tensors


def test_what_holds_no_tensor_is_refused() -> None:
    with pytest.raises(InvalidInput, match="returned a tuple without a tensor"):
        read((None, 3))


@pytest.mark.parametrize("given", [{}, {"metric": "users_outputs:f"}, {"loss": "users_outputs:f"}])
def test_several_outputs_and_no_word_is_a_refusal_that_lists_them(
    given: dict[str, Any], users: ModuleType
) -> None:
    net = Heads()
    users.f = lambda outputs, labels: 1.0
    splits = Splits(_data(net), _data(net))
    with pytest.raises(InvalidInput) as caught:
        check_data(net, splits, _MODEL, Evaluation(**given))
    assert caught.value.reason is Reason.INVALID_SPEC
    assert str(caught.value).startswith(
        "spec.evaluation.output: the model has 2 outputs, 0 [1, 3], 1 [1, 4];"
    )
    for output in (0, 1):
        check_data(net, splits, _MODEL, Evaluation(**given, output=output))
    with pytest.raises(InvalidInput, match=r"no floating-point output 'main'; it has 0 \[1, 3\], 1 \[1, 4\]"):
        check_data(net, splits, _MODEL, Evaluation(**given, output="main"))
    check_data(net, splits, _MODEL, Evaluation(metric="users_outputs:f", loss="users_outputs:f"))


def test_the_named_output_is_judged_in_paddle_and_converted() -> None:
    seed_everything(1)
    net = Heads(lambda a, b: {"shape": a, "colour": b})
    data = _data(net, "colour")
    right, wrong = Evaluation(output="colour", batch_size=7), Evaluation(output="shape", batch_size=7)
    assert evaluate(net, data, right) == pytest.approx(0.75)
    assert evaluate(net, data, wrong) < 0.7
    assert mean_loss(net, data, right) != mean_loss(net, data, wrong)

    def run(inputs: list[np.ndarray]) -> Outputs:
        arrays = [array.numpy() for array in paddle.utils.flatten(net(paddle.to_tensor(inputs[0])))]
        return rebuilt({"colour": "colour", "shape": "shape"}, arrays)

    for evaluation in (right, wrong):
        assert evaluate_with(run, data, evaluation, 9).value() == evaluate(net, data, evaluation)


@pytest.mark.parametrize(
    "arrange", [lambda a, b: (a, None), lambda a, b: {"m": a}, lambda a, b: (b.argmax(), a)]
)
def test_the_only_one_of_floating_point_is_judged_without_a_word(arrange: Arrange) -> None:
    seed_everything(1)
    net = Heads(arrange)
    name = judged(forward(net, [np.zeros((1, 6), np.float32)]), Evaluation())
    assert evaluate(net, _data(net, name), Evaluation()) == pytest.approx(0.75)


def test_a_users_metric_and_loss_are_given_all_outputs_or_the_only_one(users: ModuleType) -> None:
    seen: list[Any] = []

    def metric(outputs: Any, labels: np.ndarray) -> float:
        seen.append((outputs, len(labels)))
        return 1.0

    users.metric, users.loss = metric, lambda outputs, labels: outputs["a"].mean() + outputs["b"][0].mean()
    evaluation = Evaluation(metric="users_outputs:metric", loss="users_outputs:loss", batch_size=16)
    net = Heads(lambda a, b: {"a": a, "b": (b, None)})
    data = _data(net, "a")
    assert evaluate(net, data, evaluation) == 1.0
    assert np.isfinite(mean_loss(net, data, evaluation))
    ((outputs, count),) = seen
    assert outputs["a"].shape == (40, 3)
    assert outputs["b"][0].shape == (40, 4)
    assert outputs["b"][1] is None
    assert count == 40
    for arrange in (lambda a, b: a, lambda a, b: (a, None)):  # one output: as it ever was
        evaluate(Heads(arrange), data, evaluation)
        assert seen[-1][0].shape == (40, 3)


def test_every_output_of_floating_point_is_distilled() -> None:
    student, teacher = Heads(), Heads()
    x, labels = _data(student).arrays
    evaluation, settings = Evaluation(output=0), Distillation()
    targets = forward(teacher, [x])
    distillation_loss(forward(student, [x]), targets, labels, "0", evaluation, settings).backward()
    for head in (student.first, student.second):
        assert float(head.weight.grad.abs().sum()) > 0
    same = distillation_loss(targets, targets, labels, "0", evaluation, settings)
    assert float(same) == pytest.approx(0, abs=1e-6)


def test_the_term_of_another_output_does_not_depend_on_its_scale() -> None:
    draw = np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float32)
    first, labels = paddle.ones([4, 3]), np.zeros(4, np.int64)

    def term(scale: float) -> float:
        student, teacher = (read((first, paddle.to_tensor(one * scale))) for one in draw)
        return float(distillation_loss(student, teacher, labels, "0", Evaluation(), Distillation()))

    assert term(1000.0) == pytest.approx(term(0.001), rel=1e-4)


def test_maps_are_distilled_along_their_classes() -> None:
    """As the same scores in rows are: [N, C, H, W] with labels [N, H, W]."""
    draw = np.random.default_rng(0).normal(size=(2, 2, 3, 4, 5)).astype(np.float32)
    labels = np.zeros((2, 4, 5), np.int64)
    student, teacher = (read(paddle.to_tensor(one)) for one in draw)
    found = distillation_loss(student, teacher, labels, "0", Evaluation(metric="miou"), Distillation())
    rows = [read(paddle.to_tensor(np.moveaxis(one, 1, -1).reshape(-1, 3))) for one in draw]
    expected = distillation_loss(*rows, labels.reshape(-1), "0", Evaluation(), Distillation())
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_maps_of_other_shapes_are_refused_with_both() -> None:
    student, teacher = read(paddle.zeros([2, 3, 8, 8])), read(paddle.zeros([2, 1, 8, 8]))
    evaluation = Evaluation(metric="hmean", loss="secateur_jobs.zoo.detection:db_loss")
    with pytest.raises(InvalidInput, match=r"outputs 0 \[2, 3, 8, 8\], its teacher 0 \[2, 1, 8, 8\]"):
        distillation_loss(student, teacher, np.zeros((2, 1, 8, 8)), "0", evaluation, Distillation())


def test_numbers_without_classes_are_not_taken_for_classes(users: ModuleType) -> None:
    """A user's regression [N, 1]: a softmax over one number would be 1, and nothing distilled."""
    users.f = lambda outputs, labels: 1.0
    evaluation = Evaluation(metric="users_outputs:f", loss="users_outputs:f")
    student, teacher = read(paddle.full([4, 1], 2.0)), read(paddle.full([4, 1], 1.0))
    found = distillation_loss(student, teacher, np.zeros(4, np.float32), "0", evaluation, Distillation())
    assert float(found) == pytest.approx(1.0)


def test_a_segmenter_is_trained_and_judged_by_pixel() -> None:
    seed_everything(0)
    net = nn.Conv2D(1, 3, 3, padding=1)  # scores [N, 3, H, W]
    x = np.random.default_rng(0).normal(size=(24, 1, 6, 9)).astype(np.float32)
    labels = np.digitize(x[:, 0], [-0.5, 0.5])
    labels[:, 0] = 255  # a row without labels
    data = ArrayDataset([x, labels])
    evaluation = Evaluation(metric="miou", batch_size=5)
    train(net, data, evaluation, epochs=8, learning_rate=0.05, batch_size=4)
    scores, inside = forward(net, [x]).given.numpy(), labels != 255
    guesses = scores.argmax(1)
    both = [(inside & (guesses == c), inside & (labels == c)) for c in range(3)]
    ious = [(given & true).sum() / (given | true).sum() for given, true in both]
    assert np.mean(ious) > 0.5
    assert evaluate(net, data, evaluation) == pytest.approx(np.mean(ious))
    rows = F.log_softmax(paddle.to_tensor(scores), axis=1).numpy()
    picked = np.take_along_axis(rows, np.where(inside, labels, 0)[:, None], 1)[:, 0]
    assert mean_loss(net, data, evaluation) == pytest.approx(-picked[inside].mean(), rel=1e-4)


class Branches(nn.Layer):
    """A second head with a branch of its own, which the first head's loss and metric know nothing of."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.first = nn.Conv2D(1, 8, 3, padding=1), nn.Linear(8, 3)
        self.two, self.second = nn.Conv2D(1, 8, 3, padding=1), nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        one, two = (F.relu(conv(x)).mean([2, 3]) for conv in (self.one, self.two))
        return self.first(one), self.second(two)


def _branches() -> tuple[Branches, ArrayDataset]:
    seed_everything(3)
    net = Branches()
    x = np.random.default_rng(0).normal(size=(64, 1, 6, 6)).astype(np.float32)
    net.eval()
    return net, ArrayDataset([x, forward(net, [x]).tensors["0"].numpy().argmax(-1)])


def test_channels_of_an_output_that_the_loss_does_not_read_have_scores() -> None:
    """Half the mean square of a channel's gradient is what removing it does to the output."""
    net, data = _branches()
    batches = [list(data.arrays)] * 24  # many draws of the probe
    found = sweep(net, batches, Evaluation(output=0)).masks["second"]
    estimated = 0.5 * np.square(found).mean(axis=0)
    before = forward(net, data.arrays[:1]).tensors["1"].numpy()
    for channel in range(8):
        kept = net.second.weight.numpy()
        cut = kept.copy()
        cut[channel] = 0
        net.second.weight.set_value(cut)
        after = forward(net, data.arrays[:1]).tensors["1"].numpy()
        net.second.weight.set_value(kept)
        moved = np.square(after - before).mean() / np.square(before).mean()
        assert estimated[channel] == pytest.approx(moved, rel=0.25)


@pytest.mark.parametrize("mode", ["exact", "bounded"])
def test_a_cut_that_only_another_output_feels_has_its_loss(mode: str) -> None:
    net, data = _branches()
    evaluation, inputs = Evaluation(output=0, batch_size=16), [InputSpec(name="x", shape=[1, 1, 6, 6])]
    engine = make_engine(Engine.AUTO, net, inputs)
    group = next(group for group in engine.groups if group.name == "two")
    keep = group.choose(np.arange(8), 2)
    moved = Sweep(net)
    with moved.open():
        cut = Cut(group, 0.75, keep)
        if mode == "exact":
            (found,) = exact.measure(moved, data, evaluation, 1.0, [cut])
            assert found.value == 1.0
            loss = found.drift
        else:
            settings = Sensitivity(mode="bounded", tolerance=0.001, cap=0.9)
            scores = bounded.scores_of(evaluation)
            race = bounded.race(
                moved, data, evaluation, scores, settings, [cut], baseline=1.0, comparisons=1, seed=0
            )
            bounds = next(iter(race))
            loss = bounds.drift
            assert bounds.loss == pytest.approx(loss)
    before = forward(net, data.arrays[:1]).tensors["1"].numpy()
    engine.cut({"two": keep})
    after = forward(net, data.arrays[:1]).tensors["1"].numpy()
    expected = np.square(after - before).mean() / np.square(before).mean()
    assert expected > 0.01
    assert loss == pytest.approx(expected, rel=0.05)
    teacher, _ = _branches()
    assert drift(net, teacher, data, evaluation).errors == {"1": pytest.approx(expected, rel=1e-4)}


def test_a_users_metric_has_no_outputs_that_nobody_judges(users: ModuleType) -> None:
    users.f = lambda outputs, labels: 1.0
    net, data = _branches()
    outputs = forward(net, data.arrays[:1])
    evaluation = Evaluation(metric="users_outputs:f", loss="users_outputs:f")
    assert note_of(outputs, evaluation) == []
    assert drift(net, net, data, evaluation).errors == {}
    (note,) = note_of(outputs, Evaluation(output=1))
    assert note.startswith("accuracy judges output 1; the others (0 [64, 3]) are distilled")
