"""Without labels the unpruned model's answers stand in for them: agreement, its loss, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.results import Held
from secateur_api.spec import AnswerForm, Data, Distillation, Evaluation, InputSpec, Model
from secateur_jobs.data.check import check_data
from secateur_jobs.measure.statistics import of_means
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.gradients import sweep
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.answers import (
    agreement,
    answered,
    form_in,
    form_of_answers,
    form_to_compare,
    judged_by,
    note_of_form,
)
from secateur_jobs.training.batching import ArrayDataset, gather
from secateur_jobs.training.evaluate import evaluate, evaluate_unpruned
from secateur_jobs.training.held import hold_back, measure
from secateur_jobs.training.train import train
from secateur_jobs.user_code import Splits, load_data

pytestmark = pytest.mark.paddle
nn = paddle.nn
FORMS = list(AnswerForm)


class Head(nn.Layer):
    """Gives items [4, 8] as what each form compares."""

    def __init__(self, form: AnswerForm, seed: int = 0) -> None:
        super().__init__()
        paddle.seed(seed)
        self.form, self.body, self.last = form, nn.Linear(8, 16), nn.Linear(16, 6)

    def forward(self, x):
        x = self.last(nn.functional.relu(self.body(x)))
        if self.form is AnswerForm.CLASSES:
            return nn.functional.softmax(x.mean(1))
        if self.form is AnswerForm.SEQUENCE:
            return nn.functional.softmax(x)
        return nn.functional.sigmoid(x * 4).unsqueeze(1) if self.form is AnswerForm.MAP else x.mean(1)


def _evaluation(form: AnswerForm | None = None, **fields: object) -> Evaluation:
    return Evaluation(metric="agreement", form=form, **fields)


def _splits(items: int = 24) -> Splits:
    random = np.random.default_rng(0)
    columns = [
        [random.standard_normal((count, 4, 8)).astype(np.float32), np.zeros((count, 0), np.float32)]
        for count in (items, items // 2)
    ]
    return Splits(*map(ArrayDataset, columns))


def _labels(form: AnswerForm, answer: list[object], dtype: type = np.int64) -> np.ndarray:
    array = np.asarray(answer, dtype)
    labels = np.zeros(len(array), [(form.value, array.dtype, array.shape[1:])])
    labels[form.value] = array
    return labels


@pytest.mark.parametrize("form", FORMS)
def test_the_unpruned_model_agrees_with_itself_and_another_does_not(form: AnswerForm) -> None:
    evaluation, net = _evaluation(form), Head(form)
    found = answered(_splits(), net, evaluation)
    assert evaluate(net, found.eval, evaluation) == pytest.approx(1, abs=1e-6)
    assert evaluate(Head(form, seed=1), found.eval, evaluation) < 0.9
    assert evaluate_unpruned(net, found.eval, evaluation) == 1


@pytest.mark.parametrize("form", FORMS)
def test_items_read_one_by_one_have_the_same_answers(form: AnswerForm) -> None:
    class Lazy(paddle.io.Dataset):
        def __getitem__(self, index):
            return memory[index]

        def __len__(self):
            return len(memory)

    memory = _splits().eval
    evaluation, net = _evaluation(form), Head(form)
    lazy = answered(Splits(Lazy(), Lazy()), net, evaluation).eval
    whole = answered(Splits(memory, memory), net, evaluation).eval
    for one, other in zip(gather(lazy, range(5)), gather(whole, range(5)), strict=True):
        name = form_in(one)
        values = (one, other) if name is None else (one[name.value], other[name.value])
        assert np.allclose(*values, atol=1e-6)


def test_classes_agree_where_the_largest_score_is_the_same() -> None:
    scores = np.array([[0.1, 0.9], [0.6, 0.4], [0.2, 0.8]], np.float32)
    labels = _labels(AnswerForm.CLASSES, [1, 1, 1])
    assert agreement(scores, labels, _evaluation()).tolist() == [True, False, True]
    maps = np.zeros((1, 3, 2, 2), np.float32)
    maps[0, 2] = 1
    pixels = _labels(AnswerForm.CLASSES, [[[2, 2], [0, 2]]])
    assert agreement(maps, pixels, _evaluation(class_axis=1)).tolist() == [[[True, True], [False, True]]]


def test_sequences_agree_where_the_same_line_is_read() -> None:
    best = np.array([[0, 3, 3, 0, 3], [3, 0, 0, 0, 3], [3, 3, 3, 3, 3], [0, 0, 0, 0, 0]])
    scores = np.eye(4, dtype=np.float32)[best]
    labels = _labels(AnswerForm.SEQUENCE, [[3, 0, 3, 3, 0]] * 3 + [[0] * 5])
    assert agreement(scores, labels, _evaluation()).tolist() == [True, True, False, True]


def test_maps_agree_by_intersection_over_union_above_the_threshold() -> None:
    maps = np.array([[[[0.9, 0.4, 0.2]]], [[[0.1, 0.1, 0.1]]], [[[0.1, 0.1, 0.9]]]], np.float32)
    labels = _labels(AnswerForm.MAP, [[[[1, 0, 0]]], [[[0, 0, 0]]], [[[1, 0, 0]]]], np.uint8)
    assert agreement(maps, labels, _evaluation()).tolist() == [0.5, 1, 0]
    assert agreement(maps, labels, _evaluation(threshold=0.5)).tolist() == [1, 1, 0]


def test_numbers_agree_by_their_relative_error() -> None:
    labels = _labels(AnswerForm.RELATIVE, [[3, 4], [3, 4], [3, 4]], np.float32)
    numbers = np.array([[3, 4], [3, 4.5], [-30, 4]], np.float32)
    assert agreement(numbers, labels, _evaluation()) == pytest.approx([1, 0.9, 0])
    low, high = of_means(np.ones(3), agreement(numbers, labels, _evaluation()), 1.0)
    assert low < (0 + 0.1 + 1) / 3 < high


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_fisher_a_gradient_at_the_unpruned_model(form: AnswerForm) -> None:
    """A distance from its own outputs has none there."""
    evaluation, net = _evaluation(form), Head(form)
    found = answered(_splits(), Head(form), evaluation)
    gradients = sweep(net, [gather(found.train, range(24))], evaluation)
    assert gradients.masks["last"].shape == (24, 16)
    assert (np.square(gradients.masks["last"]).sum(axis=0) > 0).sum() >= 8


@pytest.mark.parametrize("form", FORMS)
def test_training_brings_another_model_nearer(form: AnswerForm) -> None:
    evaluation, teacher, student = _evaluation(form), Head(form), Head(form)
    found = answered(_splits(96), teacher, evaluation)
    for parameter in student.parameters():
        paddle.seed(1)
        parameter.set_value(parameter + 0.3 * paddle.randn(parameter.shape))
    before = evaluate(student, found.eval, evaluation)
    train(
        student,
        found.train,
        evaluation,
        epochs=40,
        learning_rate=0.02,
        batch_size=32,
        seed=0,
        teacher=teacher,
        distillation=Distillation(weight=0.0),  # there is nothing else to learn from
        field="spec.fineTune",
    )
    assert evaluate(student, found.eval, evaluation) > before + 0.05


@pytest.mark.parametrize(
    ("form", "expected"),
    [(AnswerForm.CLASSES, AnswerForm.CLASSES), (AnswerForm.MAP, AnswerForm.MAP)],
)
def test_a_form_that_leaves_no_doubt_is_found(form: AnswerForm, expected: AnswerForm) -> None:
    assert form_of_answers(Head(form), _splits(), _evaluation()) is expected


@pytest.mark.parametrize(
    ("form", "evaluation", "said"),
    [
        (
            AnswerForm.SEQUENCE,
            _evaluation(),
            r"form: output \[1, 4, 6\] may be read in several .* say classes ",
        ),
        (AnswerForm.RELATIVE, _evaluation(), r"sequence .*, map .* or relative "),
        (AnswerForm.CLASSES, _evaluation(AnswerForm.SEQUENCE), r"sequence needs .* the output is \[1, 6\]"),
        (AnswerForm.RELATIVE, _evaluation(AnswerForm.MAP), r"map needs values in 0..1"),
        (
            AnswerForm.MAP,
            _evaluation(AnswerForm.CLASSES),
            r"classAxis: output \[1, 1, 4, 6\] has several axes",
        ),
        (
            AnswerForm.MAP,
            _evaluation(AnswerForm.CLASSES, class_axis=1),
            r"needs scores of two or more classes",
        ),
    ],
)
def test_a_form_that_is_in_doubt_or_does_not_fit_is_refused(
    form: AnswerForm, evaluation: Evaluation, said: str
) -> None:
    with pytest.raises(InvalidInput, match=f"spec.evaluation.{said}|{said}"):
        form_of_answers(Head(form), _splits(), evaluation)


def unlabelled() -> tuple[object, object]:
    """A data factory of items without labels."""

    class Items(paddle.io.Dataset):
        def __getitem__(self, index):
            return (np.full((4, 8), index, np.float32),)

        def __len__(self):
            return 6

    return Items(), Items()


def labelled() -> tuple[object, object]:
    """A data factory of items whose labels are not to be read."""
    one = ArrayDataset([np.ones((6, 4, 8), np.float32), np.arange(6)])
    return one, one


@pytest.mark.parametrize("factory", ["unlabelled", "labelled"])
def test_a_factory_may_have_no_labels(factory: str) -> None:
    data = Data(factory=f"tests.jobs.test_answers:{factory}")
    found = answered(load_data(data, 1, has_labels=False), Head(AnswerForm.CLASSES), _evaluation())
    *_, labels = gather(found.eval, [0, 1])
    assert form_in(labels) is AnswerForm.CLASSES


# ---- labels of the evaluation set alone ----


class Bare(paddle.io.Dataset):
    """Items without a label: a tuple of one, or the input itself."""

    def __init__(self, inputs: np.ndarray, alone: bool) -> None:
        super().__init__()
        self._inputs, self._alone = inputs, alone

    def __getitem__(self, index: int) -> object:
        return self._inputs[index] if self._alone else (self._inputs[index],)

    def __len__(self) -> int:
        return len(self._inputs)


def half_labelled(kind: str = "arrays", items: int = 400) -> tuple[paddle.io.Dataset, paddle.io.Dataset]:
    random = np.random.default_rng(1)
    train, test = (random.standard_normal((count, 4, 8)).astype(np.float32) for count in (items, 120))
    labelled = ArrayDataset([test, random.integers(0, 6, len(test))])
    return (ArrayDataset([train]) if kind == "arrays" else Bare(train, kind == "alone")), labelled


def _half(kind: str = "arrays", metric: str = "accuracy", **fields: object) -> tuple[Splits, Evaluation]:
    data = Data(factory="tests.jobs.test_answers:half_labelled", args={"kind": kind})
    evaluation = Evaluation(metric=metric, **fields)
    return answered(load_data(data, 1), Head(AnswerForm.CLASSES), evaluation), evaluation


@pytest.mark.parametrize("kind", ["arrays", "tuple", "alone"])
def test_a_training_set_without_labels_is_answered_and_the_evaluation_set_keeps_its_own(kind: str) -> None:
    splits, evaluation = _half(kind)
    assert form_in(gather(splits.train, [0, 1])[-1]) is AnswerForm.CLASSES
    assert gather(splits.eval, [0])[-1].dtype == np.int64
    assert judged_by(splits.train, evaluation).metric == "agreement"
    assert judged_by(splits.eval, evaluation) is evaluation
    net = Head(AnswerForm.CLASSES)
    assert evaluate(net, splits.train, evaluation) == 1.0
    labels = gather(splits.eval, range(120))
    right = net(paddle.to_tensor(labels[0])).numpy().argmax(-1) == labels[1]
    assert evaluate(net, splits.eval, evaluation) == pytest.approx(right.mean())


@pytest.mark.parametrize("kind", ["arrays", "tuple"])
def test_agreement_chooses_on_what_is_held_back_of_it(kind: str) -> None:
    splits, evaluation = _half(kind)
    parts = hold_back(splits, 0)
    assert parts.held is not None
    assert judged_by(parts.choosing, evaluation).metric == "agreement"
    held, why = measure(Head(AnswerForm.CLASSES), splits, evaluation, 0, 0.2, trained_here=False)
    assert (held, why) == (Held(metric=1.0, samples=80, by_agreement=True), "")
    assert evaluate(Head(AnswerForm.CLASSES, seed=1), parts.held, evaluation) < 1


def test_what_the_labels_metric_reads_is_what_the_answers_are() -> None:
    def form(metric: str) -> AnswerForm:
        return form_of_answers(Head(AnswerForm.RELATIVE), _splits(), Evaluation(metric=metric))

    assert form("top5_accuracy") is AnswerForm.CLASSES
    assert form("mine:metric") is AnswerForm.RELATIVE
    said = note_of_form(AnswerForm.CLASSES, Evaluation())
    assert said.startswith("the training set has no labels: ")
    assert said.endswith("accuracy is measured by the labels of the evaluation set")


def test_a_metric_that_is_better_where_it_is_smaller_needs_labels_to_choose_by() -> None:
    with pytest.raises(InvalidInput, match=r"spec.evaluation.goal: the training set has no labels"):
        _half(metric="mine:error", goal="minimize")


@pytest.mark.parametrize(("changed", "said"), [(0, ""), (120, "label 6 is out of range")])
def test_labels_of_the_evaluation_set_are_checked(changed: int, said: str) -> None:
    splits, evaluation = _half()
    splits.eval.arrays[-1][:changed] = 6
    model = Model(factory="m:n", trained=True, inputs=[InputSpec(name="x", shape=[1, 4, 8])])
    if not said:
        check_data(Head(AnswerForm.CLASSES), splits, model, evaluation)
        return
    with pytest.raises(InvalidInput, match=f"the eval set, item 0: {said}"):
        check_data(Head(AnswerForm.CLASSES), splits, model, evaluation)


def test_two_models_are_compared_as_numbers_where_only_labels_say_how_the_metric_reads() -> None:
    maps = Head(AnswerForm.MAP)  # [N, 1, 4, 6]: no scores of classes along the last axis
    with pytest.raises(InvalidInput, match="classAxis"):
        form_of_answers(maps, _splits(), Evaluation(metric="miou"))
    assert form_to_compare(maps, _splits(), Evaluation(metric="miou")) is AnswerForm.RELATIVE
    assert form_to_compare(maps, _splits(), Evaluation(metric="hmean")) is AnswerForm.MAP
