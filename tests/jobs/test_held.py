"""What chooses on the way is not what judges at the end: held-back training items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur_api.results import CurveTable, RoundPlan
from secateur_api.spec import Evaluation
from secateur_api.stage import Stage
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.store import Store
from secateur_jobs.training.batching import ArrayDataset, gather
from secateur_jobs.training.held import hold_back, measure, shortage
from secateur_jobs.user_code import Splits
from tests.jobs.stages import digits_spec, run, stage_input

pytestmark = pytest.mark.paddle


class Numbered(paddle.io.Dataset):
    """Item i is i and a number drawn anew at each read; its label is i % 2."""

    def __init__(self, length: int, broken: int = -1) -> None:
        super().__init__()
        self.length, self.broken = length, broken

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int64]:
        if index == self.broken:
            raise OSError("gone")
        return np.array([index, np.random.random()], np.float32), np.int64(index % 2)


def _numbers(dataset: paddle.io.Dataset) -> set[int]:
    return {int(i) for i in gather(dataset, range(len(dataset)))[0][:, 0]}


@pytest.mark.parametrize(("evaluation", "held"), [(400, 200), (120, 120), (3, 50)])
def test_a_fifth_of_the_items_and_at_most_as_many_as_judge(evaluation: int, held: int) -> None:
    splits = Splits(Numbered(1000), Numbered(evaluation))
    parts, again = hold_back(splits, 3), hold_back(splits, 3)
    assert parts.held is not None
    assert again.held is not None
    assert len(parts.held) == held
    assert _numbers(parts.held) == _numbers(again.held) != _numbers(hold_back(splits, 4).choosing)
    assert _numbers(parts.train) == set(range(1000)) - _numbers(parts.held)


def test_held_items_are_the_same_at_each_read_and_training_items_are_not() -> None:
    parts = hold_back(Splits(Numbered(1000), Numbered(100)), 0)
    first, again = (gather(parts.choosing, range(40)) for _ in range(2))
    reversed_ = gather(parts.choosing, range(39, -1, -1))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[0], reversed_[0][::-1])
    assert (gather(parts.train, range(40))[0] != gather(parts.train, range(40))[0]).any()


@pytest.mark.parametrize("part", ["train", "held"])
def test_a_broken_item_is_named_by_its_number_in_the_users_data_set(part: str) -> None:
    where = getattr(hold_back(Splits(Numbered(1000), Numbered(100)), 0), part)
    number = int(where.indices[7])
    broken = getattr(hold_back(Splits(Numbered(1000, number), Numbered(100)), 0), part)
    with pytest.raises(InvalidInput, match=rf"Numbered: item {number} raised OSError"):
        gather(broken, range(20))


def test_where_none_can_be_held_back_all_are_trained_on_and_why_is_said() -> None:
    small = Splits(Numbered(249), Numbered(100))
    assert "the training set has 249 items, too few to hold some back" in shortage(small)
    parts = hold_back(small, 0)
    assert parts.held is None
    assert len(parts.train) == 249
    assert parts.choosing is small.eval
    soft = ArrayDataset([np.zeros((300, 2), np.float32), np.zeros((300, 2), np.float32)])
    assert "([2] float32) have another form than the evaluation set's ([] int64)" in shortage(
        Splits(soft, Numbered(100))
    )


class Answers(paddle.nn.Layer):
    """Gives the class that stands in the input."""

    def forward(self, x):
        return paddle.stack([-x[:, 0], x[:, 0]], axis=1)


def _answered(right: float, length: int) -> ArrayDataset:
    """Items of which a share is answered rightly."""
    labels = np.arange(length) % 2
    signs = np.where(np.arange(length) < right * length, 1, -1)
    return ArrayDataset([((2 * labels - 1) * signs).astype(np.float32)[:, None], labels])


def test_weights_that_know_the_training_items_are_not_judged_by_them() -> None:
    splits = Splits(_answered(1.0, 500), _answered(0.75, 400))
    held, why = measure(Answers(), splits, Evaluation(), 0, 0.75, trained_here=False)
    assert held is None
    assert "accuracy is 1 on 100 training items and 0.75 on the evaluation set: the weights know" in why
    held, why = measure(Answers(), splits, Evaluation(), 0, 0.75, trained_here=True)
    assert held is not None
    assert (held.metric, held.samples, why) == (1.0, 100, "")
    held, why = measure(Answers(), Splits(_answered(0.0, 500), splits.eval), Evaluation(), 0, 0.75, True)
    assert held is None
    assert "accuracy is 0 on the held-back training items" in why


def other_evaluation(spoilt: bool) -> tuple[ArrayDataset, ArrayDataset]:
    """Digits; with ``spoilt`` half of the evaluation set has other labels."""
    from secateur_jobs.data.digits import splits

    train, test = splits(size=16, train_copies=1, eval_copies=1)
    labels = test.arrays[1].copy()
    if spoilt:
        labels[::2] = (labels[::2] + 1) % 10
    return train, ArrayDataset([test.arrays[0], labels])


def _job(spoilt: bool, mode: str) -> dict[str, Any]:
    model = {**digits_spec()["model"], "pretrain": {"epochs": 3, "learningRate": 0.01}}
    return digits_spec(
        model=model,
        data={"factory": "tests.jobs.test_held:other_evaluation", "args": {"spoilt": spoilt}},
        pruning={"target": {"macs": "40%"}, "align": 2},
        sensitivity={"ratios": [0.5], "mode": mode},
        fineTune={"dataFraction": 0.2, "epochs": 2, "earlyStop": {}},
        convert=[{"format": "onnx"}],
        benchmark=[],
    )


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """A home for each evaluation set: what is before the sensitivity is done once for both of its modes."""
    return {spoilt: tmp_path_factory.mktemp(f"spoilt-{spoilt}") for spoilt in (False, True)}


@pytest.mark.parametrize("mode", ["exact", "bounded"])
def test_another_evaluation_set_changes_the_baseline_and_no_choice(
    mode: str, homes: dict[bool, Path]
) -> None:
    chosen, baselines = [], []
    for spoilt, folder in homes.items():
        spec = _job(spoilt, mode)

        def done(stage: Stage, *, folder: Path = folder, spec: dict[str, Any] = spec, **more: Any) -> Any:
            ended = run(stage.value, stage_input(stage, spec, folder / "store", **more), folder)
            assert ended.code == 0, ended.said.message
            return ended.said

        pretrained = done(Stage.PRETRAIN).unit
        preflight = done(Stage.PREFLIGHT, upstream={"pretrain": pretrained})
        upstream: dict[str, Any] = {"pretrain": pretrained, "preflight": preflight.unit}
        upstream["sensitivity"] = [done(Stage.SENSITIVITY, upstream=upstream).unit]
        ended = done(Stage.ROUND, upstream=upstream, round={"number": 1, "share": 1.0})
        store, outcome = Store(str(folder / "store")), ended.outcome.round
        points = store.unit_json(upstream["sensitivity"][0], "curves", CurveTable).points
        plan = store.unit_json(ended.unit, "plan", RoundPlan)
        baselines.append(preflight.outcome.preflight.baseline.metric)
        assert preflight.outcome.preflight.held.samples == 240
        chosen.append(
            (
                preflight.outcome.preflight.held,
                {(p.group, p.ratio): (p.metric, p.loss) for p in points},
                plan,
                outcome.drop,
                outcome.metric_repaired,
                outcome.checkpoint.sha256,
            )
        )
        assert outcome.numbers.metric != outcome.recovered
    assert baselines[1] < 0.7 * baselines[0]
    assert chosen[0] == chosen[1]
