"""Sensitivity on real nets: exact equals cutting one by one, bounds hold, files of PaddleSlim are read."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from secateur_api.results import Group
from secateur_api.spec import Engine, Evaluation, InputSpec, Sensitivity, SensitivityFile
from secateur_jobs.data.digits import splits
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import slim
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria import criterion_function
from secateur_jobs.pruning.engine import PruningEngine
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.pruning.sensitivity import bounded, exact, modes, sen_file
from secateur_jobs.pruning.sensitivity.replay import behind
from secateur_jobs.pruning.sensitivity.sweep import Cut, Sweep
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.batching import ArrayDataset
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.train import train
from secateur_jobs.zoo.digits import residual_net

pytestmark = pytest.mark.paddle
nn, F = paddle.nn, paddle.nn.functional
_INPUTS = [InputSpec(name="image", shape=[1, 1, 16, 16])]
_EVALUATION = Evaluation(batch_size=100)
_RATIOS = (0.25, 0.5, 0.75)


class Twisted(nn.Layer):
    """Calls a layer twice, changes activations in place, has a depthwise layer and a branch on the data."""

    def __init__(self, noisy: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2D(1, 8, 3, stride=2, padding=1)
        self.twice = nn.Conv2D(8, 8, 3, padding=1)
        self.depthwise = nn.Conv2D(8, 8, 3, padding=1, groups=8)
        self.point = nn.Conv2D(8, 16, 1)
        self.norm = nn.BatchNorm2D(16)
        self.pool = nn.AdaptiveAvgPool2D(2)
        self.hidden = nn.Linear(64, 24)
        self.head = nn.Linear(24, 10)
        self.noisy = noisy

    def forward(self, x: Any) -> Any:
        x = F.relu_(self.stem(x))
        x = F.relu(self.twice(x)) + F.relu(self.twice(x * 0.5))
        if float(x.mean()) > -1:
            x = self.norm(self.point(F.relu(self.depthwise(x))))
        x = F.dropout(x, 0.3, training=self.noisy)
        return self.head(F.relu(self.hidden(self.pool(F.relu(x)).flatten(1))))


@dataclass
class Case:
    """A trained net, its engine, an evaluation set, and cuts of every group."""

    net: nn.Layer
    engine: PruningEngine
    data: ArrayDataset
    train: ArrayDataset

    @property
    def cuts(self) -> list[Cut]:
        calibration = Calibration(self.net, self.train, _EVALUATION)
        found = []
        for group in self.engine.groups:
            scores = criterion_function("l1_norm")(self.net, group, calibration)
            for ratio in _RATIOS:
                width = group.channels - round(group.channels * ratio)
                found.append(Cut(group, ratio, group.choose(scores, width)))
        return found

    def one_by_one(self, cut: Cut, evaluation: Evaluation = _EVALUATION) -> float:
        """Cut, evaluate, restore: as PaddleSlim does it."""
        self.engine.cut({cut.group.name: cut.keep})
        try:
            return evaluate(self.net, self.data, evaluation)
        finally:
            self.engine.restore()

    def state(self) -> dict[str, bytes]:
        return {name: value.numpy().tobytes() for name, value in self.net.state_dict().items()}


def trained(net: nn.Layer, engine: Engine) -> Case:
    data = splits(size=16, train_copies=1, eval_copies=1)
    train(net, data[0], _EVALUATION, epochs=3, learning_rate=0.01, batch_size=50)
    return Case(net, make_engine(engine, net, _INPUTS), data[1], data[0])


@pytest.fixture(scope="module")
def residual() -> Case:
    paddle.seed(1)
    return trained(residual_net(width=6), Engine.PADDLESLIM)


@pytest.fixture(scope="module")
def twisted() -> Case:
    paddle.seed(1)
    return trained(Twisted(), Engine.NATIVE)


def exactly(
    case: Case, evaluation: Evaluation = _EVALUATION, sweep: Sweep | None = None
) -> dict[tuple[str, float], float]:
    with (sweep or Sweep(case.net)).open() as opened:
        found = exact.measure(opened, case.data, evaluation, 1.0, case.cuts)
        return {(f.cut.group.name, f.cut.ratio): f.value for f in found}


@pytest.fixture(scope="module")
def metrics(residual: Case) -> dict[tuple[str, float], float]:
    return exactly(residual)


@pytest.mark.parametrize("name", ["residual", "twisted"])
def test_exact_is_what_cutting_one_by_one_gives_to_the_bit(name, request):
    case: Case = request.getfixturevalue(name)
    before, sweep = case.state(), Sweep(case.net)
    found = exactly(case, sweep=sweep)
    assert sweep.notes == []
    assert len(found) == len(case.cuts) >= 6
    assert found == {(c.group.name, c.ratio): case.one_by_one(c) for c in case.cuts}
    assert len(set(found.values())) > 4
    assert case.state() == before
    assert not [layer for layer in case.net.sublayers() if "forward" in vars(layer)]


def test_what_ran_before_the_first_consumer_is_not_run_again(residual, monkeypatch):
    calls = dict.fromkeys(["conv1", "layer2.conv1", "fc"], 0)
    for name in calls:
        layer = named_layers(residual.net)[name]
        original = layer.forward

        def count(x, name=name, original=original):
            calls[name] += 1
            return original(x)

        monkeypatch.setitem(vars(layer), "forward", count)
    last = [cut for cut in residual.cuts if cut.group.name == "layer3.conv2"]
    assert named_layers(residual.net)["fc"] is residual.net.fc
    assert last[0].group.consumers == ("fc",)
    with Sweep(residual.net).open() as sweep:
        list(sweep.run([residual.data.arrays[0][:8]], last))
    # recorded once, and run whole once to check on the replay
    assert calls == {"conv1": 2, "layer2.conv1": 2, "fc": 2 + len(last)}


class Late(nn.Layer):
    """Changes its input in place, and an activation after the layer that reads it has run."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.head = nn.Conv2D(1, 6, 3), nn.Conv2D(6, 6, 1), nn.Linear(6, 10)

    def forward(self, x: Any) -> Any:
        kept = self.stem(x.scale_(3.0))
        read = self.one(kept)
        return self.head((read + kept.scale_(2.0)).mean([2, 3]))


def test_the_uncut_net_is_run_only_as_far_as_the_cuts_need_it(monkeypatch):
    net, images = Late(), np.random.default_rng(0).random((4, 1, 8, 8), dtype=np.float32)
    engine = make_engine(Engine.NATIVE, net, [InputSpec(name="image", shape=[1, 1, 8, 8])])
    group = next(g for g in engine.groups if g.name == "stem")
    cuts = [Cut(group, n / 6, np.arange(6) >= n) for n in (1, 2, 3)]
    calls = {"stem": 0, "head": 0}
    for name in calls:
        layer = getattr(net, name)

        def count(x, name=name, original=layer.forward):
            calls[name] += 1
            return original(x)

        monkeypatch.setitem(vars(layer), "forward", count)
    with Sweep(net).open() as sweep:
        found = {r.cut.ratio: r.outputs.given for r in sweep.run([images], cuts, uncut=False)}
        assert sweep.notes == []
    # the stem: recorded, the check of the replay, and two replays, since what was changed is not replayed
    assert calls == {"stem": 4, "head": 4}
    for cut in cuts:
        engine.cut({group.name: cut.keep})
        np.testing.assert_allclose(found[cut.ratio], net(paddle.to_tensor(images)).numpy(), rtol=1e-5)
        engine.restore()


def test_the_depth_of_groups_is_the_share_of_time_behind_them(residual):
    consumers = {group.name: group.consumers for group in residual.engine.groups}
    found = behind(residual.net, consumers | {"nobody": ()}, [residual.data.arrays[0][:100]])
    assert found["conv1"] > 0.6
    assert 0 < found["layer3.conv2"] < 0.3
    assert found["layer1.conv1"] > found["layer3.conv1"]
    assert found["nobody"] == 1


def test_without_memory_for_recordings_the_metrics_are_the_same(residual, metrics):
    sweep = Sweep(residual.net, memory_bytes=100_000)
    assert exactly(residual, sweep=sweep) == metrics
    assert 0 < sweep.peak_bytes <= 100_000


def test_a_net_that_draws_random_numbers_is_run_whole_and_that_is_said(twisted):
    noisy = Twisted(noisy=True)
    noisy.set_state_dict(twisted.net.state_dict())
    sweep = Sweep(noisy)
    with sweep.open():
        cuts = [cut for cut in twisted.cuts if cut.group.name == "hidden"]
        list(sweep.run([twisted.data.arrays[0][:8]], cuts))
    assert sweep.notes == ["hidden: each cut runs the whole net, since two runs of the net differ"]


def least_recall(outputs, labels):
    """A user's metric that is no mean over samples: the recall of the class that is found worst."""
    hits = outputs.argmax(-1) == labels
    return min(hits[labels == c].mean() for c in np.unique(labels))


def test_exact_works_with_a_metric_of_the_whole_set(residual):
    evaluation = Evaluation(metric=f"{__name__}:least_recall", batch_size=100)
    found = exactly(residual, evaluation)
    some = residual.cuts[::4]
    assert [found[(c.group.name, c.ratio)] for c in some] == [
        residual.one_by_one(c, evaluation) for c in some
    ]


def test_a_pass_takes_as_many_cuts_as_memory_allows(residual, metrics, monkeypatch):
    monkeypatch.setattr(exact, "HELD_BYTES", 5 * len(residual.data))  # one byte per hit: five cuts
    assert exactly(residual) == metrics


def raced(case: Case, **settings: Any) -> list[bounded.Bounds]:
    with Sweep(case.net).open() as sweep:
        found = bounded.race(
            sweep,
            case.data,
            _EVALUATION,
            bounded.scores_of(_EVALUATION),
            Sensitivity(**settings),
            case.cuts,
            baseline=evaluate(case.net, case.data, _EVALUATION),
            comparisons=len(case.cuts),
            seed=3,
        )
        return list(found)


def test_bounds_hold_and_decide_on_which_side_of_the_cap_a_cut_lies(residual, metrics):
    baseline = evaluate(residual.net, residual.data, _EVALUATION)
    losses = {key: (baseline - value) / baseline for key, value in metrics.items()}
    found = raced(residual, tolerance=0.05, cap=0.15)
    assert sorted((f.cut.group.name, f.cut.ratio) for f in found) == sorted(losses)
    for one in found:
        exact_loss = losses[(one.cut.group.name, one.cut.ratio)]
        assert (one.loss > 0.15) == (exact_loss > 0.15)
        if one.samples:
            assert one.low - 1e-9 <= exact_loss <= one.high + 1e-9
        if one.samples == len(residual.data):
            assert one.loss == pytest.approx(exact_loss, abs=1e-9)
        if one.low <= 0.15:
            assert (one.high - one.low) / 2 <= 0.05
    assert sum(f.samples for f in found) < 0.8 * len(residual.data) * len(found)
    assert [(f.cut.ratio, f.loss) for f in raced(residual, tolerance=0.05, cap=0.15)] == [
        (f.cut.ratio, f.loss) for f in found
    ]


def test_bounded_refuses_a_metric_that_is_no_mean_over_samples():
    with pytest.raises(InvalidInput, match=r"spec.sensitivity.mode: bounded .* take exact"):
        bounded.scores_of(Evaluation(metric=f"{__name__}:least_recall"))


def test_fisher_orders_cuts_much_as_their_losses_do(residual, metrics):
    calibration = Calibration(residual.net, residual.train, _EVALUATION)
    estimates = [modes.drop_of(modes.rise(residual.net, cut, calibration)) for cut in residual.cuts]
    assert all(0 <= value < 1 for value in estimates)
    drops = [-metrics[(cut.group.name, cut.ratio)] for cut in residual.cuts]
    assert spearmanr(estimates, drops).statistic > 0.6


def written(folder: Path, curves: dict[str, dict[Any, Any]]) -> SensitivityFile:
    """Write what PaddleSlim writes."""
    status = slim.module("dygraph.prune.filter_pruner").Status()
    status.sensitivies = curves
    status.save(str(folder / "sen.pickle"))
    return SensitivityFile(uri=str(folder / "sen.pickle"))


def groups_of(engine: PruningEngine) -> list[Group]:
    return [
        Group(name=g.name, channels=g.channels, producers=list(g.producers), consumers=[], cap=0.9)
        for g in engine.groups
    ]


def test_curves_of_paddleslim_are_matched_by_parameter(residual, tmp_path):
    weight = residual.net.layer2.conv1.weight.name
    curves = sen_file.read(written(tmp_path, {weight: {0.1: np.float64(0.02), np.float64(0.2): 0.05}}))
    assert sen_file.for_groups(curves, residual.net, groups_of(residual.engine)) == {
        "layer2.conv1": {0.1: 0.02, 0.2: 0.05}
    }
    metric = 0.9 - 0.02 * (0.9 + 1e-3)
    assert sen_file.metric_of(0.02, 0.9) == pytest.approx(metric)


def test_a_file_of_another_model_names_what_does_not_match(residual, tmp_path):
    curves = sen_file.read(written(tmp_path, {"conv2d_999.w_0": {0.1: 0.0}}))
    with pytest.raises(InvalidInput, match=r"spec.sensitivity.file.uri: it is of another model.*conv2d_999"):
        sen_file.for_groups(curves, residual.net, groups_of(residual.engine))


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/should-not-be-there",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps({"a": Evil()}), "wants to run posix.system"),
        (b"nonsense", "truncated or no pickle"),
        (pickle.dumps([1, 2]), "is it a sen_file"),
        (pickle.dumps({"a": {0.1: float("nan")}}), "must be finite numbers"),
        (pickle.dumps({"a": {1.5: 0.1}}), "ratios lie between 0 and 1"),
        (pickle.dumps({"a": {}}), "no {ratio: loss}"),
    ],
)
def test_other_files_are_refused_unrun(content, words, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        sen_file.read(SensitivityFile(uri=str(tmp_path / "file")))
    assert caught.value.message.startswith("spec.sensitivity.file.uri: ")
    assert words in caught.value.message


def test_another_sha256_is_refused(tmp_path):
    file = written(tmp_path, {"a": {0.1: 0.0}})
    with pytest.raises(InvalidInput, match="expected 0000"):
        sen_file.read(file.model_copy(update={"sha256": "0" * 64}))
