"""Training, evaluation and recalibration on real nets: repeatable, exact, and loud when it goes wrong."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import Distillation, Evaluation, Goal, InputSpec, Model, Pretrain
from secateur_jobs import checkpoint
from secateur_jobs.data.digits import splits
from secateur_jobs.measure.statistics import check_drop_is_told, relative_drop
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.batching import ArrayDataset, gather, shuffled, spread
from secateur_jobs.training.batchnorm import recalibrate
from secateur_jobs.training.distillation import distillation_loss
from secateur_jobs.training.evaluate import evaluate, evaluate_with
from secateur_jobs.training.forward import forward, read
from secateur_jobs.training.outputs import Outputs, rebuilt
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.tally import Tally
from secateur_jobs.training.train import train
from secateur_jobs.user_code import Splits, build_model

pytestmark = pytest.mark.paddle

_MODEL = Model(
    factory="secateur_jobs.zoo.digits:residual_net",
    args={"width": 8},
    inputs=[InputSpec(name="image", shape=[1, 1, 16, 16])],
    pretrain=Pretrain(epochs=1),
)
_EVALUATION = Evaluation(batch_size=100)


@pytest.fixture(scope="module")
def digits() -> Splits:
    return Splits(*splits(size=16, train_copies=1, eval_copies=1))


def _net(seed: int = 0) -> paddle.nn.Layer:
    seed_everything(seed)
    return build_model(_MODEL)


def _trained(digits: Splits, seed: int = 0, **options: object) -> tuple[paddle.nn.Layer, list[float]]:
    net = _net(seed)
    settings = {"epochs": 2, "learning_rate": 0.005, "batch_size": 32, "seed": seed, **options}
    return net, train(net, digits.train, _EVALUATION, **settings)


def test_training_learns_and_twice_the_same_gives_equal_bytes(digits: Splits) -> None:
    first, losses = _trained(digits)
    np.random.default_rng().random()
    paddle.rand([3])  # what ran before must not matter
    second, again = _trained(digits)
    assert losses == again
    assert losses[1] < losses[0]
    assert checkpoint.to_bytes(first, _MODEL) == checkpoint.to_bytes(second, _MODEL)
    assert evaluate(first, digits.eval, _EVALUATION) > 0.5
    other, _ = _trained(digits, seed=1)
    assert checkpoint.to_bytes(first, _MODEL) != checkpoint.to_bytes(other, _MODEL)


def test_a_teacher_is_left_as_it_was_and_its_student_follows_it(digits: Splits) -> None:
    teacher, _ = _trained(digits)
    before = checkpoint.to_bytes(teacher, _MODEL)
    teacher.train()
    follows = {"teacher": teacher, "distillation": Distillation(weight=1.0), "epochs": 1}
    student, _ = _trained(digits, seed=1, **follows)
    alone, _ = _trained(digits, seed=1, epochs=1)
    assert checkpoint.to_bytes(teacher, _MODEL) == before
    inputs, labels = [digits.eval.arrays[0][:200]], digits.eval.arrays[1][:200]
    target = forward(teacher, inputs)

    def distance(net: paddle.nn.Layer) -> float:
        return float(
            distillation_loss(forward(net, inputs), target, labels, "0", _EVALUATION, Distillation())
        )

    assert distance(student) < distance(alone)
    assert distance(teacher) == pytest.approx(0, abs=1e-6)


def test_each_sample_is_seen_once_an_epoch_and_augmentation_is_fresh(digits: Splits) -> None:
    class Counting(paddle.io.Dataset):
        seen: list[int] = []  # noqa: RUF012
        noise: list[float] = []  # noqa: RUF012

        def __len__(self) -> int:
            return 33

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            self.seen.append(index)
            self.noise.append(float(np.random.random()))
            return digits.train[index]

    done: list[tuple[int, int]] = []
    net = _net()
    train(
        net,
        Counting(),
        _EVALUATION,
        epochs=2,
        learning_rate=0.001,
        batch_size=16,
        on_batch=lambda i, n: done.append((i, n)),
    )
    assert sorted(Counting.seen[:33]) == list(range(33))
    assert Counting.seen[:33] != Counting.seen[33:]
    assert sorted(Counting.seen[33:]) == list(range(33))
    assert len(set(Counting.noise)) == 66
    assert done == [(i, 6) for i in range(1, 7)]


def test_no_batch_is_left_with_one_sample() -> None:
    sizes = [len(b) for b in shuffled(33, 16, np.random.default_rng(0))]
    assert sizes == [11, 11, 11]


def test_a_share_of_the_data_is_a_share(digits: Splits) -> None:
    steps: list[int] = []
    _trained(digits, fraction=0.1, epochs=1, on_batch=lambda i, n: steps.append(n))
    assert steps == [4, 4, 4, 4]  # 120 of 1200 samples in batches of at most 32
    assert list(spread(10, 0.3)) == [0, 4, 9]
    net = _net()
    net.eval()
    assert evaluate(net, digits.eval, _EVALUATION, 0.5) == evaluate(
        net, ArrayDataset(gather(digits.eval, spread(len(digits.eval), 0.5))), _EVALUATION
    )


def test_training_that_diverges_is_an_error_with_the_field(digits: Splits) -> None:
    with pytest.raises(
        InvalidInput, match=r"spec\.fineTune\.learningRate: with 1e\+38 .* in epoch 1"
    ) as caught:
        _trained(digits, learning_rate=1e38)
    assert caught.value.reason is Reason.TRAINING_DIVERGED


def test_a_loss_that_is_nan_is_an_error(digits: Splits) -> None:
    evaluation = Evaluation(loss="tests.jobs.test_training:nan_loss")
    with pytest.raises(InvalidInput, match=r"nan_loss is nan in the first step, before any weight") as caught:
        train(_net(), digits.train, evaluation, epochs=1, learning_rate=0.1, batch_size=32)
    assert caught.value.reason is Reason.TRAINING_DIVERGED


def nan_loss(output: paddle.Tensor, label: paddle.Tensor) -> paddle.Tensor:
    """A user's loss that takes the logarithm of something negative."""
    return paddle.log(-output.square().mean() - 1)


def test_values_that_are_not_finite_are_found_where_they_are(digits: Splits) -> None:
    """A net of ReLUs hides them: the loss stays finite."""
    images = digits.train.arrays[0][:64].copy()
    images[17, 0, 3, 3] = np.nan
    bad = ArrayDataset([images, digits.train.arrays[1][:64]])
    with pytest.raises(InvalidInput, match="item 17 holds values that are not finite") as caught:
        train(_net(), bad, _EVALUATION, epochs=1, learning_rate=0.001, batch_size=32)
    assert caught.value.reason is Reason.DATASET_INVALID


def test_a_label_out_of_range_stops_training(digits: Splits) -> None:
    bad = ArrayDataset([digits.train.arrays[0][:64], np.full(64, 10)])
    with pytest.raises(InvalidInput, match=r"label 10 is out of range: the model has 10 outputs"):
        train(_net(), bad, _EVALUATION, epochs=1, learning_rate=0.1, batch_size=32)


def test_a_converted_model_is_measured_like_the_net(digits: Splits) -> None:
    net, _ = _trained(digits, epochs=1)
    sizes: set[int] = set()

    def run(inputs: list[np.ndarray]) -> Outputs:
        sizes.add(len(inputs[0]))
        return forward(net, inputs).arrays()

    assert len(digits.eval) % 64 != 0
    assert evaluate_with(run, digits.eval, _EVALUATION, 64).value() == evaluate(net, digits.eval, _EVALUATION)
    assert sizes == {64}


def test_evaluation_keeps_the_mode_and_the_statistics(digits: Splits) -> None:
    net = _net()
    net.train()
    before = net.bn1._mean.numpy()
    evaluate(net, digits.eval, _EVALUATION)
    assert net.training
    np.testing.assert_array_equal(net.bn1._mean.numpy(), before)


def test_recalibration_is_the_mean_of_the_batch_statistics(digits: Splits) -> None:
    net = _net()
    weight = net.conv1.weight.numpy()
    recalibrate(net, digits.train, batches=3, batch_size=50, seed=4)
    order = shuffled(len(digits.train), 50, np.random.default_rng(4))[:3]
    net.eval()
    features = [net.conv1(paddle.to_tensor(digits.train.arrays[0][rows])).numpy() for rows in order]
    means = np.mean([f.mean(axis=(0, 2, 3)) for f in features], axis=0)
    variances = np.mean([f.var(axis=(0, 2, 3)) for f in features], axis=0)
    np.testing.assert_allclose(net.bn1._mean.numpy(), means, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(net.bn1._variance.numpy(), variances, rtol=1e-4)
    np.testing.assert_array_equal(net.conv1.weight.numpy(), weight)
    assert net.bn1._momentum == 0.9
    assert not net.training


def test_recalibration_mends_statistics_that_a_cut_made_wrong(digits: Splits) -> None:
    net, _ = _trained(digits)
    good = evaluate(net, digits.eval, _EVALUATION)
    for layer in net.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            layer._mean.set_value(layer._mean + 3)
    assert evaluate(net, digits.eval, _EVALUATION) < good - 0.2
    recalibrate(net, digits.train, batches=16, batch_size=64, seed=0)
    assert evaluate(net, digits.eval, _EVALUATION) > good - 0.05


def test_metrics() -> None:
    outputs = np.array([[0.1, 0.9, 0, 0, 0, 0], [9, 8, 7, 6, 5, 0], [9, 8, 7, 6, 5, 0]])
    for metric, labels in (
        ("accuracy", [1, 0, 5]),
        ("accuracy", [[1], [0], [5]]),
        ("top5_accuracy", [1, 4, 5]),
    ):
        tally = Tally(Evaluation(metric=metric))
        tally.add(rebuilt("0", [outputs]), np.array(labels))
        assert tally.value() == pytest.approx(2 / 3)


def test_drops_are_relative_to_the_baseline() -> None:
    assert relative_drop(0.8, 0.6, Goal.MAXIMIZE) == pytest.approx(0.25)
    assert relative_drop(0.8, 1.0, Goal.MAXIMIZE) == pytest.approx(-0.25)
    assert relative_drop(2.0, 3.0, Goal.MINIMIZE) == pytest.approx(0.5)
    assert relative_drop(-2.0, -3.0, Goal.MAXIMIZE) == pytest.approx(0.5)
    assert (relative_drop(0, 0, Goal.MAXIMIZE), relative_drop(0, 1, Goal.MINIMIZE)) == (0, 1)


@pytest.mark.parametrize(
    ("goal", "reason", "words"),
    [
        (Goal.MINIMIZE, Reason.INVALID_SPEC, "the best that it can be, .* above 0 at its best"),
        (Goal.MAXIMIZE, Reason.WEIGHTS_INVALID, "nothing can drop from there; look at spec.model.weights"),
    ],
)
def test_a_metric_of_0_has_no_share_that_could_be_lost(goal: Goal, reason: Reason, words: str) -> None:
    evaluation = Evaluation(metric="mine:errors", goal=goal)
    with pytest.raises(InvalidInput, match=rf"spec.evaluation: mine:errors of .*{words}") as said:
        check_drop_is_told(0.0, evaluation)
    assert said.value.reason is reason
    check_drop_is_told(1e-9, evaluation)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_the_distillation_term_has_the_gradient_of_its_definition(loss: str) -> None:
    evaluation = Evaluation(loss=loss)
    student = paddle.to_tensor([[0.5, -1.0, 2.0]], stop_gradient=False)
    teacher = paddle.to_tensor([[1.0, 0.0, -1.0]])
    settings = Distillation(temperature=2.0)
    distillation_loss(read(student), read(teacher), np.array([0]), "0", evaluation, settings).backward()
    s, t = student.numpy()[0], teacher.numpy()[0]
    if loss == "mse":
        expected = 2 * (s - t) / 3
    else:  # d(T^2 KL)/ds = T (softmax(s/T) - softmax(t/T))
        softmax = [np.exp(x / 2) / np.exp(x / 2).sum() for x in (s, t)]
        expected = 2 * (softmax[0] - softmax[1])
    np.testing.assert_allclose(student.grad.numpy()[0], expected, rtol=1e-5)
