"""Networks that return other outputs in training than at inference, or need the labels for it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import Distillation, Engine, Evaluation, InputSpec, Model, Pretrain
from secateur_jobs.data.check import check_data
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.gradients import sweep
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.batching import ArrayDataset, gather, with_one_label_column
from secateur_jobs.training.distillation import distillation_loss
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.form import Form, form_of, labels_parameter
from secateur_jobs.training.forward import read
from secateur_jobs.training.losses import loss_function
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.teacher import check_teaching
from secateur_jobs.training.train import train
from secateur_jobs.user_code import Splits
from tests.jobs.losses import mean_loss

pytestmark = pytest.mark.paddle
nn = paddle.nn
F = paddle.nn.functional
_MODEL = Model(factory="a:b", inputs=[InputSpec(name="x", shape=[1, 6])], pretrain=Pretrain(epochs=1))


class Trunk(nn.Layer):
    """A classifier with a normalisation and dropout; subclasses say what training returns."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1D(16), nn.ReLU(), nn.Dropout(0.3))
        self.main, self.guide = nn.Linear(16, 3), nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        return self.main(self.body(x))


class Guided(Trunk):
    """PP-OCR's MultiHead: the list of labels in training, a dict out of it; a tensor at inference."""

    def forward(self, x: Any, targets: Any = None) -> Any:
        y = self.body(x)
        if not self.training:
            return self.main(y)
        return {"guide": self.guide(y) + 0 * targets[0].mean(), "main": self.main(y)}


class WithLoss(Trunk):
    """PaddleNLP's classifiers: the tensor of labels, and the loss before the scores."""

    def forward(self, x: Any, labels: Any = None) -> Any:
        y = self.main(self.body(x))
        return y if labels is None else (F.cross_entropy(y, labels), y)


class Probabilities(Trunk):
    """PaddleOCR's CTC head: scores in training, their softmax at inference."""

    def forward(self, x: Any) -> Any:
        y = self.main(self.body(x))
        return y if self.training else F.softmax(y)


class Recogniser(Guided):
    """PP-OCR's MultiHead whole: a dict of scores in training, the softmax of one of them at inference."""

    def forward(self, x: Any, data: Any = None) -> Any:
        y = super().forward(x, data)
        return y if self.training else F.softmax(y)


class Random(Trunk):
    """Dropout without a layer of its own."""

    def forward(self, x: Any) -> Any:
        return self.main(F.dropout(self.body(x), 0.5, training=self.training))


class OwnNorm(Trunk):
    """A normalisation without a layer of its own, and another branch in training."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", paddle.zeros([16]))
        self.register_buffer("var", paddle.ones([16]))

    def forward(self, x: Any) -> Any:
        y = F.batch_norm(self.body(x), self.mean, self.var, training=self.training)
        return (self.main(y), self.guide(y)) if self.training else self.main(y)


class Demanding(Trunk):
    def forward(self, x: Any, truth: Any = None) -> Any:
        if self.training and truth is None:
            raise ValueError("no truth")
        return super().forward(x)


class Elsewhere(Trunk):
    """Training knows nothing of what inference returns."""

    def forward(self, x: Any) -> Any:
        y = self.body(x)
        return (self.guide(y), self.guide(-y)) if self.training else self.main(y)


@pytest.fixture
def data() -> ArrayDataset:
    x = np.random.default_rng(0).normal(size=(192, 6)).astype(np.float32)
    return ArrayDataset([x, x[:, :3].argmax(1)])


def _bits(net: nn.Layer) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in net.state_dict().items()}


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (Trunk, Form(False, "0")),
        (Guided, Form(True, "main")),
        (WithLoss, Form(True, "1")),
        (Probabilities, Form(True, "0")),
        (Recogniser, Form(True, "main")),
        (Random, Form(False, "0")),
    ],
)
def test_the_judged_output_is_found_among_those_of_training(
    kind: type[Trunk], form: Form, data: ArrayDataset
) -> None:
    seed_everything(0)
    net = kind()
    net.train()
    before = _bits(net)
    assert form_of(net, data.arrays, Evaluation()) == form
    assert _bits(net) == before
    assert all(layer.training for layer in net.sublayers(include_self=True))


@pytest.mark.parametrize("kind", [Guided, WithLoss, Probabilities, Recogniser, Random])
def test_a_net_with_another_training_form_is_trained_and_taught(
    kind: type[Trunk], data: ArrayDataset
) -> None:
    seed_everything(0)
    net, evaluation = kind(), Evaluation()
    check_data(net, Splits(data, data), _MODEL, evaluation)
    train(net, data, evaluation, epochs=12, learning_rate=0.02, batch_size=32)
    assert evaluate(net, data, evaluation) > 0.8
    student = kind()
    settings = Distillation(weight=1.0, temperature=1.0)
    before = _bits(net)
    train(
        student,
        data,
        evaluation,
        epochs=12,
        learning_rate=0.02,
        batch_size=32,
        teacher=net,
        distillation=settings,
    )
    assert evaluate(student, data, evaluation) > 0.8
    assert _bits(net) == before
    assert not any(layer.training for layer in net.sublayers(include_self=True))


def test_loss_and_gradients_are_those_of_the_scores_that_training_returns(data: ArrayDataset) -> None:
    seed_everything(0)
    net = Probabilities()
    net.eval()
    scores = net.main(net.body(paddle.to_tensor(data.arrays[0])))
    expected = float(F.cross_entropy(scores, paddle.to_tensor(data.arrays[1])))
    assert mean_loss(net, data, Evaluation()) == pytest.approx(expected, rel=1e-5)
    (batch,) = sweep(net, [list(data.arrays)], Evaluation()).weights
    F.cross_entropy(scores, paddle.to_tensor(data.arrays[1])).backward()
    product = float((net.main.weight * net.main.weight.grad).sum())
    assert batch[("main", "weight", 0)].sum() == pytest.approx(product, rel=1e-4)


def test_probabilities_are_taken_for_what_they_are() -> None:
    """A net that ends in a softmax, in one mode or both: loss and distillation are those of its scores."""
    draw = np.random.default_rng(0).normal(size=(2, 6, 5)).astype(np.float32) * 3
    scores = [read(paddle.to_tensor(one)) for one in draw]
    chances = [read(F.softmax(paddle.to_tensor(one))) for one in draw]
    labels, evaluation, form = np.arange(6) % 5, Evaluation(), Form(False, "0")
    loss = loss_function(evaluation, form)
    assert float(loss(chances[0], labels)) == pytest.approx(float(loss(scores[0], labels)), rel=1e-4)
    expected = float(distillation_loss(*scores, labels, "0", evaluation, Distillation()))
    for student, teacher in ((chances[0], chances[1]), (scores[0], chances[1]), (chances[0], scores[1])):
        found = distillation_loss(student, teacher, labels, "0", evaluation, Distillation())
        assert float(found) == pytest.approx(expected, rel=1e-4)


def test_a_users_loss_is_given_all_that_training_returns(
    data: ArrayDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()

    def loss(outputs: Any, labels: Any) -> Any:
        seen.update(outputs)
        return F.cross_entropy(outputs["main"], labels) + F.cross_entropy(outputs["guide"], labels)

    module = ModuleType("users_heads")
    module.loss = loss
    monkeypatch.setitem(sys.modules, "users_heads", module)
    seed_everything(0)
    net, evaluation = Guided(), Evaluation(loss="users_heads:loss")
    start = net.guide.weight.numpy()
    train(net, data, evaluation, epochs=1, learning_rate=0.02, batch_size=32)
    assert seen == {"guide", "main"}
    assert np.abs(net.guide.weight.numpy() - start).max() > 0.01
    assert mean_loss(net, data, evaluation) > 0
    assert sweep(net, [list(data.arrays)], evaluation).masks["guide"].any()


def test_a_look_at_training_leaves_the_statistics(data: ArrayDataset) -> None:
    seed_everything(0)
    net = OwnNorm()
    net.eval()
    before = _bits(net)
    evaluation = Evaluation()
    with pytest.raises(InvalidInput, match=r"0 \[2, 3\], 1 \[2, 3\], at inference 0 \[2, 3\]"):
        form_of(net, data.arrays, evaluation)
    assert _bits(net) == before


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Demanding, "cannot be run in training mode: ValueError: no truth (test_training_heads.py, line "),
        (
            Demanding,
            "let forward take them by a parameter called labels (the tensor) or targets",
        ),
        (
            Elsewhere,
            "in training the model gives 0 [2, 3], 1 [2, 3], at inference 0 [2, 3]",
        ),
        (Elsewhere, "write a loss of your own, which is given all that training returns"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_data_check(
    kind: type[Trunk], words: str, data: ArrayDataset
) -> None:
    seed_everything(0)
    with pytest.raises(InvalidInput) as caught:
        check_data(kind(), Splits(data, data), _MODEL, Evaluation())
    assert words in str(caught.value)
    assert caught.value.reason in (Reason.FACTORY_FAILED, Reason.INVALID_SPEC)


def test_what_only_training_runs_is_cut_with_the_rest(data: ArrayDataset) -> None:
    net, inputs = Guided(), [InputSpec(name="x", shape=[1, 6])]
    assert not make_engine(Engine.AUTO, net, inputs).groups
    engine = make_engine(Engine.AUTO, net, inputs, data.arrays[1])
    (group,) = engine.groups
    assert {"main", "guide"} <= set(group.consumers)
    engine.cut({group.name: np.arange(16) < 5})
    engine.freeze()
    train(net, data, Evaluation(), epochs=1, learning_rate=0.01, batch_size=32)
    assert net.guide.weight.shape == [5, 3]


def test_a_teacher_of_another_training_form_is_refused_early(data: ArrayDataset) -> None:
    batch = gather(data, [0, 1])
    for student, teacher in ((Guided, Guided), (Trunk, Probabilities), (Trunk, Guided)):
        check_teaching(student(), teacher(), batch, Evaluation())
    with pytest.raises(InvalidInput, match=r"outputs guide \[2, 3\], main \[2, 3\], its teacher 0 \[2, 3\]"):
        check_teaching(Guided(), Trunk(), batch, Evaluation())
    with pytest.raises(
        InvalidInput, match="teacher: it cannot be run in training mode: ValueError: no truth"
    ):
        check_teaching(Guided(), Demanding(), batch, Evaluation())


def test_labels_are_asked_for_behind_the_inputs_only() -> None:
    assert labels_parameter(Guided(), 1) == "targets"
    assert labels_parameter(Guided(), 2) is None
    assert labels_parameter(Trunk(), 1) is None


class TwoTruths(paddle.io.Dataset):
    """Items of a picture and two labels: the class, and a number for each of four places."""

    def __init__(self, data: ArrayDataset, **spoilt: Any) -> None:
        super().__init__()
        self._x, self._classes = data.arrays
        self._spoilt = spoilt

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, index: int) -> Any:
        numbers = np.full(4, 0.5 * index)
        if index == self._spoilt.get("nan"):
            numbers[2] = np.nan
        if index == self._spoilt.get("short"):
            numbers = numbers[:3]
        return self._x[index], self._classes[index], numbers


def in_memory(dataset: paddle.io.Dataset) -> ArrayDataset:
    return ArrayDataset(gather(dataset, range(len(dataset))))


@pytest.mark.parametrize("kind", [TwoTruths, lambda data: in_memory(TwoTruths(data))])
def test_items_with_several_labels(kind: Any, data: ArrayDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def loss(output: Any, labels: Any) -> Any:
        seen["loss"] = [list(one.shape[1:]) for one in labels]
        return F.cross_entropy(output["main"], labels[0]) + 0 * labels[1].mean()

    def metric(outputs: Any, labels: Any) -> float:
        seen["metric"] = labels
        return float((outputs.argmax(-1) == labels[0]).mean())

    class Asks(Guided):
        def forward(self, x: Any, targets: Any = None) -> Any:
            if self.training:
                seen["forward"] = [list(one.shape[1:]) for one in targets]
            return super().forward(x, targets)

    module = ModuleType("users_truths")
    module.loss, module.metric = loss, metric
    monkeypatch.setitem(sys.modules, "users_truths", module)
    seed_everything(0)
    net, several = Asks(), with_one_label_column(kind(data), 1)
    users = Evaluation(loss="users_truths:loss", metric="users_truths:metric")
    check_data(net, Splits(several, several), _MODEL, users)
    train(net, several, users, epochs=12, learning_rate=0.02, batch_size=32)
    assert seen["loss"] == seen["forward"] == [[], [4]]
    found = evaluate(net, several, users)
    assert found > 0.8
    assert [one.shape for one in seen["metric"]] == [(192,), (192, 4)]
    assert seen["metric"][1][10].tolist() == [5.0] * 4
    named = Evaluation(label=0)
    check_data(net, Splits(several, several), _MODEL, named)
    assert evaluate(net, several, named) == pytest.approx(found)
    assert mean_loss(net, several, named) == pytest.approx(mean_loss(net, data, Evaluation()), rel=1e-6)
    train(
        net,
        several,
        named,
        epochs=1,
        learning_rate=0.01,
        batch_size=32,
        teacher=Asks(),
        distillation=Distillation(),
    )
    with pytest.raises(InvalidInput) as caught:
        check_data(net, Splits(several, several), _MODEL, Evaluation())
    assert str(caught.value) == (
        "spec.evaluation.label: each item has 2 labels, 0 [] (int64), 1 [4] (float32); say which one the "
        "built-in metric and loss compare with (label: 0), or write your own"
    )
    with pytest.raises(InvalidInput, match="there is no label 2"):
        check_data(net, Splits(several, several), _MODEL, Evaluation(label=2))


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({"nan": 3}, "TwoTruths: item 3 holds values that are not finite"),
        ({"short": 3}, r"TwoTruths: item 3 has shapes \[\(6,\), \(\), \(3,\)\], item 0 has"),
    ],
)
def test_each_of_several_labels_is_checked(spoilt: Any, words: str, data: ArrayDataset) -> None:
    with pytest.raises(InvalidInput, match=words):
        gather(with_one_label_column(TwoTruths(data, **spoilt), 1), range(5))


def test_one_label_is_left_as_it_is(data: ArrayDataset) -> None:
    assert with_one_label_column(data, 1) is data
