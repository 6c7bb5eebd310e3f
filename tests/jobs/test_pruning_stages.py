"""Preflight, sensitivity and rounds on a real small net, as the control plane calls them."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur_api.conditions import Reason
from secateur_api.results import (
    ConvertOutcome,
    CurveTable,
    Depths,
    GroupTable,
    LatencyTable,
    PointSource,
    RoundPlan,
    Shares,
)
from secateur_api.stage import INPUT_VARIABLE, TERMINATION_VARIABLE, ExitCode, Stage, StageSummary
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.macs import count
from secateur_jobs.runtime.process import run_stage
from secateur_jobs.runtime.store import Store
from secateur_jobs.stages import latency as latency_stage
from secateur_jobs.training.batchnorm import recalibrate
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.user_code import load_data
from secateur_jobs.zoo.digits import residual_net
from tests.jobs.rebuilding import rebuilt
from tests.jobs.stages import digits_spec, stage_input

pytestmark = pytest.mark.paddle
PRUNING: dict[str, Any] = {"target": {"macs": "40%"}, "align": 2, "protect": {"first": 0.25, "last": 0.25}}


def single_linear():
    """A net whose only layer is its head."""
    return paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Linear(256, 10))


def always_zero(outputs, labels):
    """A metric that no model raises above zero."""
    return 0.0


def spec_of(**changes: Any) -> dict[str, Any]:
    """Return a job whose stages take seconds; ONNX only, so that no other interpreter is needed."""
    model = {**digits_spec()["model"], "pretrain": {"epochs": 4, "learningRate": 0.01}}
    return digits_spec(
        **{
            "model": model,
            "pruning": PRUNING,
            "convert": [{"format": "onnx"}],
            "benchmark": [],
            "sensitivity": {"ratios": [0.25, 0.5, 0.75]},
            "fineTune": {"dataFraction": 0.2, "epochs": 1},
            **changes,
        }
    )


@dataclass
class Home:
    """A store, and stages run on it in this process."""

    folder: Path
    patch: pytest.MonkeyPatch

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "store"))

    def run(self, stage: Stage, spec: dict[str, Any], **more: Any) -> tuple[ExitCode, StageSummary]:
        request = stage_input(stage, spec, self.folder / "store", **more)
        message = self.folder / "termination.json"
        self.patch.setenv(INPUT_VARIABLE, json.dumps(request.to_wire()))
        self.patch.setenv(TERMINATION_VARIABLE, str(message))
        code = run_stage(stage)
        return code, StageSummary.model_validate_json(message.read_text())

    def done(self, stage: Stage, spec: dict[str, Any], **more: Any) -> StageSummary:
        code, summary = self.run(stage, spec, **more)
        assert code == ExitCode.DONE, summary.message
        return summary

    def unit(self, stage: Stage, spec: dict[str, Any], **more: Any) -> str:
        unit = self.done(stage, spec, **more).unit
        assert unit is not None
        return unit


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield Home(tmp_path_factory.mktemp("home"), patch)


@pytest.fixture(scope="module")
def pretrain(home) -> str:
    return home.unit(Stage.PRETRAIN, spec_of())


@pytest.fixture(scope="module")
def preflight(home, pretrain) -> str:
    return home.unit(Stage.PREFLIGHT, spec_of(), upstream={"pretrain": pretrain})


@pytest.fixture(scope="module")
def sensitivity(home, preflight) -> str:
    return home.unit(Stage.SENSITIVITY, spec_of(), upstream={"preflight": preflight})


@pytest.fixture(scope="module")
def ready(preflight, sensitivity) -> dict[str, Any]:
    """What a round reads."""
    return {"preflight": preflight, "sensitivity": [sensitivity]}


def test_preflight_measures_the_baseline_and_converts_it(home, preflight, pretrain):
    outcome = home.done(Stage.PREFLIGHT, spec_of(), upstream={"pretrain": pretrain}).outcome.preflight
    net = rebuilt(home.store.unit_file(preflight, "checkpoint"))
    spec = stage_input(Stage.PREFLIGHT, spec_of(), "unused").spec
    assert outcome.baseline.metric == evaluate(
        net, load_data(spec.data, len(spec.model.inputs)).eval, spec.evaluation
    )
    assert outcome.baseline.macs == count(net, spec.model.inputs).macs
    assert (outcome.groups, outcome.layers, outcome.refused) == (6, 10, 1)
    assert outcome.needs_sensitivity
    assert 0.4 < outcome.reachable.macs < 0.9
    table = home.store.unit_json(preflight, "groups", GroupTable)
    by_name = {g.name: g for g in table.groups}
    assert by_name["conv1"].producers == ["conv1", "layer1.conv2"]
    assert by_name["conv1"].consumers == ["layer1.conv1", "layer2.conv1", "layer2.shortcut.0"]
    assert by_name["conv1"].cap == 0.25
    assert by_name["layer3.conv2"].cap == 0.25
    assert by_name["layer2.conv1"].cap == 0.75
    behind = home.store.unit_json(preflight, "depths", Depths).behind
    assert 1 > behind["conv1"] > behind["layer3.conv2"] > 0
    assert [r.layer for r in table.refused] == ["fc"]
    artifacts = home.store.unit_json(preflight, "artifacts", ConvertOutcome).artifacts
    assert [(a.role, a.format.value) for a in artifacts] == [("baseline", "onnx")]
    assert home.store.find(artifacts[0].path)


@pytest.mark.parametrize(
    ("pruning", "code", "reason", "words"),
    [
        (
            {"target": {"macs": "90%"}, "protect": {"first": 0, "last": 0}, "schedule": {"step": 0.5}},
            ExitCode.UNREACHABLE,
            Reason.TARGET_UNREACHABLE,
            [
                "spec.pruning.target: 90% of the macs",
                "last 0, align 8",
                "of a group (without protect ",
                ", with align 1 ",
            ],
        ),
        (
            {"layers": [{"match": "layr1.*", "ratio": 0.3}]},
            ExitCode.INVALID_INPUT,
            Reason.PATTERN_MATCHES_NOTHING,
            ["spec.pruning.layers[0].match: 'layr1.*' matches no layer; did you mean 'layer1'"],
        ),
        (
            {**PRUNING, "criterion": "nowhere.to:be_found"},
            ExitCode.INVALID_INPUT,
            Reason.CODE_NOT_FOUND,
            ["spec.pruning.criterion", "nowhere"],
        ),
    ],
    ids=["unreachable", "pattern", "criterion"],
)
def test_preflight_refuses_what_cannot_work(home, pretrain, pruning, code, reason, words):
    ended, summary = home.run(Stage.PREFLIGHT, spec_of(pruning=pruning), upstream={"pretrain": pretrain})
    assert (ended, summary.reason) == (code, reason.value)
    assert all(text in summary.message for text in words), summary.message


def test_a_net_without_prunable_layer_says_why(home):
    weights = home.folder / "linear.npz"
    np.savez(weights, **{k: v.numpy() for k, v in single_linear().state_dict().items()})
    model = {
        **spec_of()["model"],
        "factory": f"{__name__}:single_linear",
        "args": {},
        "weights": {"uri": str(weights)},
    }
    model.pop("pretrain")
    code, summary = home.run(Stage.PREFLIGHT, spec_of(model=model))
    assert (code, summary.reason) == (ExitCode.INVALID_INPUT, Reason.NOTHING_PRUNABLE.value)
    assert "1: its channels are the model's output (head layer)" in summary.message


def test_a_baseline_of_zero_is_refused(home, pretrain):
    spec = spec_of(evaluation={"metric": f"{__name__}:always_zero"})
    code, summary = home.run(Stage.PREFLIGHT, spec, upstream={"pretrain": pretrain})
    assert code == ExitCode.INVALID_INPUT
    assert "spec.evaluation" in summary.message


def test_rules_without_effect_are_noted(home, pretrain):
    rules = [{"match": "fc", "ratio": 0.5}, {"match": "layer1.*", "ratio": 0.25}]
    summary = home.done(
        Stage.PREFLIGHT, spec_of(pruning={"layers": rules, "align": 2}), upstream={"pretrain": pretrain}
    )
    outcome = summary.outcome.preflight
    assert not outcome.needs_sensitivity
    assert outcome.reachable == Shares()
    assert len(outcome.notes) == 1
    assert "layers[0].match: 'fc' has no effect" in outcome.notes[0]


def test_several_targets_are_reached_in_one_plan(home, ready):
    spec = spec_of(pruning={**PRUNING, "target": {"macs": "40%", "size": "35%"}}, fineTune={"epochs": 0})
    done = home.done(Stage.ROUND, spec, upstream=ready, round={"number": 1, "share": 1.0})
    assert done.outcome.round.cut_macs >= 0.4
    assert done.outcome.round.cut_size >= 0.35


def test_a_target_of_latency_is_measured_once_for_a_net(home, pretrain, sensitivity):
    latency = {
        "pruning": {**PRUNING, "target": {"latency": "2%"}},
        "benchmark": [{"format": "onnx"}],
    }
    upstream = {"pretrain": pretrain}
    measure = latency_stage.measure_plans

    def without_noise(*arguments: Any) -> LatencyTable:  # a busy machine may see no gain in so small a net
        found = measure(*arguments)
        assert all(value > 0 for value in found.latency)
        steps = np.linspace(0.9, 0.5, len(found.latency))  # plans go from wide to narrow
        told = [float(step) + value / 1e6 for step, value in zip(steps, found.latency, strict=True)]
        return found.model_copy(update={"latency": told})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency_stage, "_NETS", 6)
        patch.setattr(latency_stage, "measure_plans", without_noise)
        done = home.done(Stage.PREFLIGHT, spec_of(**latency), upstream=upstream)
        table = home.store.unit_json(done.unit, "latency", LatencyTable)
        assert len(table.kept) == len(table.latency) == 6
        fresh = home.done(Stage.PREFLIGHT, spec_of(**latency, fresh="today"), upstream=upstream)
        assert home.store.unit_json(fresh.unit, "latency", LatencyTable).latency != table.latency
        patch.setattr(latency_stage, "measure_plans", None)
        latency["pruning"]["target"] = {"latency": "1%", "macs": "10%"}
        again = home.done(Stage.PREFLIGHT, spec_of(**latency), upstream=upstream)
    assert home.store.unit_json(again.unit, "latency", LatencyTable) == table
    reachable = again.outcome.preflight.reachable
    assert 0.02 <= reachable.latency < 1
    ready = {"preflight": again.unit, "sensitivity": [sensitivity]}
    spec = spec_of(**latency, fineTune={"epochs": 0})
    outcome = home.done(Stage.ROUND, spec, upstream=ready, round={"number": 1, "share": 1.0}).outcome.round
    assert 0.1 <= outcome.cut_macs < 0.75


def test_a_latency_out_of_reach_says_what_noise_takes(home, pretrain):
    def noisy(*arguments: Any) -> LatencyTable:
        engine, plans = arguments[:2]
        whole = {group.name: group.channels for group in engine.groups}
        kept = [{name: width / whole[name] for name, width in plan.items()} for plan in plans]
        told = [0.5 + 0.5 * (index % 2) for index in range(len(plans))]
        return LatencyTable(device="local-x86", format="onnx", runs=60, kept=kept, latency=told)

    wanted = {"pruning": {**PRUNING, "target": {"latency": "70%"}}, "benchmark": [{"format": "onnx"}]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency_stage, "_NETS", 6)
        patch.setattr(latency_stage, "measure_plans", noisy)
        spec = spec_of(**wanted, fresh="noisy")
        code, summary = home.run(Stage.PREFLIGHT, spec, upstream={"pretrain": pretrain})
    assert code == ExitCode.UNREACHABLE
    said = r"70% of the latency .*; a further [\d.]+% is kept back: so far off were predictions"
    assert re.search(said, summary.message)


def test_curves_hold_every_point_that_allocation_can_use(home, preflight, sensitivity):
    table = home.store.unit_json(sensitivity, "curves", CurveTable)
    found = {(p.group, p.ratio) for p in table.points}
    assert {ratio for group, ratio in found if group == "conv1"} == {0.25}
    assert {ratio for group, ratio in found if group == "layer2.conv1"} == {0.25, 0.5, 0.75}
    assert len(found) == len(table.points) == 2 + 4 * 3
    worst = {p.group: p.loss for p in table.points if p.ratio == 0.75}
    assert all(
        loss == pytest.approx((table.baseline - p.metric) / table.baseline)
        for p, loss in ((p, p.loss) for p in table.points)
    )
    assert max(worst.values()) > 0.1


def test_finished_points_are_not_measured_again(home, preflight, sensitivity):
    folder = next((home.folder / "store" / "points").iterdir())
    files = sorted(path for path in folder.iterdir() if "@" in path.name)
    files[0].unlink()  # lost
    files[1].write_text(files[1].read_text()[:30])  # damaged
    more = spec_of(pruning={**PRUNING, "target": {"macs": "35%"}})  # another job on the same model
    upstream = {"preflight": preflight}
    shards = [
        home.done(Stage.SENSITIVITY, more, upstream=upstream, shard=i, shards=2).outcome.sensitivity
        for i in range(2)
    ]
    assert sum(s.points for s in shards) == 14
    assert sum(s.measured for s in shards) == 2
    other = {**more, "pruning": {**more["pruning"], "criterion": "l1_norm"}}
    done = home.done(Stage.SENSITIVITY, other, upstream=upstream, shard=0, shards=7)
    assert done.outcome.sensitivity.measured == done.outcome.sensitivity.points >= 1


@pytest.mark.parametrize(
    ("mode", "source"), [("bounded", PointSource.MEASURED), ("fisher", PointSource.ESTIMATED)]
)
def test_other_modes_give_curves_for_the_same_points(home, preflight, mode, source):
    spec = spec_of(sensitivity={"mode": mode, "ratios": [0.3, 0.6], "tolerance": 0.05})
    unit = home.unit(Stage.SENSITIVITY, spec, upstream={"preflight": preflight})
    points = home.store.unit_json(unit, "curves", CurveTable).points
    assert {p.source for p in points} <= {source, PointSource.BEYOND}
    bounds = [p for p in points if p.low is not None and p.high is not None]
    assert (len(bounds) > 0) == (mode == "bounded")
    assert all(p.low <= p.loss <= p.high and p.samples > 0 for p in bounds)
    assert max(p.loss for p in points) > min(p.loss for p in points)


def test_points_of_all_samples_serve_bounded(home, preflight, sensitivity):
    spec = spec_of(sensitivity={**spec_of()["sensitivity"], "mode": "bounded"})
    done = home.done(Stage.SENSITIVITY, spec, upstream={"preflight": preflight})
    assert (done.outcome.sensitivity.points, done.outcome.sensitivity.measured) == (14, 0)


def test_bounded_with_a_metric_that_it_cannot_race_fails_at_once(home, pretrain):
    spec = spec_of(
        evaluation={"metric": f"{__name__}:worst_class"},
        sensitivity={"mode": "bounded"},
    )
    code, summary = home.run(Stage.PREFLIGHT, spec, upstream={"pretrain": pretrain})
    assert code == ExitCode.INVALID_INPUT
    assert "spec.sensitivity.mode: bounded" in summary.message


def worst_class(outputs, labels):
    """A metric that is no mean over samples."""
    hits = outputs.argmax(-1) == labels
    return min(hits[labels == c].mean() for c in np.unique(labels))


def test_curves_of_paddleslim_are_taken_and_the_rest_is_measured(home, preflight, sensitivity):
    file = home.folder / "sen.pickle"
    file.write_bytes(pickle.dumps({"conv2d_3.w_0": {0.25: 0.01, 0.5: 0.02}}))
    spec = spec_of(sensitivity={**spec_of()["sensitivity"], "file": {"uri": str(file)}})
    unit = home.unit(Stage.SENSITIVITY, spec, upstream={"preflight": preflight})
    table = home.store.unit_json(unit, "curves", CurveTable)
    mine = {p.ratio: p for p in table.points if p.group == "layer2.conv1"}
    assert [mine[r].source.value for r in (0.25, 0.5, 0.75)] == ["imported", "imported", "measured"]
    assert mine[0.25].loss == pytest.approx(0.01 * (table.baseline + 1e-3) / table.baseline)
    assert len(table.points) == 14
    file.write_bytes(pickle.dumps({"conv2d_77.w_0": {0.25: 0.01}}))
    other = {**spec, "seed": 5}  # the same name for other content: a job of its own
    code, summary = home.run(Stage.SENSITIVITY, other, upstream={"preflight": preflight})
    assert code == ExitCode.INVALID_INPUT
    assert "conv2d_77.w_0" in summary.message


def test_shards_split_the_points_and_merge(home, preflight, sensitivity):
    whole = home.store.unit_json(sensitivity, "curves", CurveTable)
    parts = []
    for shard in range(3):
        unit = home.unit(
            Stage.SENSITIVITY, spec_of(), upstream={"preflight": preflight}, shard=shard, shards=3
        )
        parts += home.store.unit_json(unit, "curves", CurveTable).points
    assert len(parts) == len(whole.points)
    assert {(p.group, p.ratio, p.loss) for p in parts} == {(p.group, p.ratio, p.loss) for p in whole.points}


def test_rounds_reach_their_share_and_never_widen(home, ready):
    first = home.done(Stage.ROUND, spec_of(), upstream=ready, round={"number": 1, "share": 0.5})
    second = home.done(
        Stage.ROUND, spec_of(), upstream=ready, round={"number": 2, "share": 1, "base": first.unit}
    )
    for summary, target in ((first, 0.2), (second, 0.4)):
        outcome = summary.outcome.round
        assert target <= outcome.cut_macs <= target + 0.05
        net = rebuilt(home.store.unit_file(summary.unit, "checkpoint"))
        counts = count(net, stage_input(Stage.ROUND, spec_of(), "unused").spec.model.inputs)
        assert (counts.macs, counts.params) == (outcome.numbers.macs, outcome.numbers.params)
        spec = stage_input(Stage.ROUND, spec_of(), "unused").spec
        assert (
            evaluate(net, load_data(spec.data, len(spec.model.inputs)).eval, spec.evaluation)
            == outcome.numbers.metric
        )
    plans = [home.store.unit_json(s.unit, "plan", RoundPlan) for s in (first, second)]
    widths = [{w.layer: w for w in plan.widths} for plan in plans]
    assert all(widths[1][name].after <= widths[0][name].after <= w.before for name, w in widths[0].items())
    assert all(w.after == w.before or w.after % 2 == 0 for w in widths[1].values())
    assert widths[1]["fc"].after == 10
    assert all(plans[1].ratios[g] >= plans[0].ratios[g] for g in plans[0].ratios)
    assert len(plans[1].losses) == len(plans[1].metrics) == 1


def test_the_same_round_twice_gives_the_same_bytes(home, ready):
    request = {"number": 1, "share": 0.75}
    first = home.unit(Stage.ROUND, spec_of(), upstream=ready, round=request)
    bytes_of = [home.store.unit_file(first, "checkpoint")]
    (home.folder / "store" / "units" / first / "result.json").unlink()
    again = home.done(Stage.ROUND, spec_of(), upstream=ready, round=request)
    assert not again.reused
    bytes_of.append(home.store.unit_file(first, "checkpoint"))
    assert bytes_of[0] == bytes_of[1]


@pytest.mark.parametrize("criterion", ["activation", "taylor"])
def test_rules_alone_need_no_sensitivity(home, pretrain, criterion):
    rules = [{"match": "layer1.conv1", "ratio": 0.5}, {"match": "layer3", "ratio": 0.25}]
    spec = spec_of(pruning={"layers": rules, "align": 2, "criterion": criterion})
    upstream = {"preflight": home.unit(Stage.PREFLIGHT, spec, upstream={"pretrain": pretrain})}
    halfway = home.done(Stage.ROUND, spec, upstream=upstream, round={"number": 1, "share": 0.5})
    whole = home.done(
        Stage.ROUND, spec, upstream=upstream, round={"number": 2, "share": 1, "base": halfway.unit}
    )
    found = [home.store.unit_json(s.unit, "plan", RoundPlan).ratios for s in (halfway, whole)]
    assert found[0] == {
        **dict.fromkeys(found[0], 0),
        "layer1.conv1": 0.25,
        "layer3.conv1": 0.125,
        "layer3.conv2": 0.125,
    }
    assert found[1] == {
        **dict.fromkeys(found[1], 0),
        "layer1.conv1": 0.5,
        "layer3.conv1": 0.25,
        "layer3.conv2": 0.25,
    }


def test_a_round_repairs_what_its_cut_took(home, pretrain):
    pruning = {"layers": [{"match": "layer*", "ratio": 0.5}], "align": 2}
    tune = {"epochs": 0}
    first = spec_of(pruning=pruning, fineTune=tune)
    upstream = {"preflight": home.unit(Stage.PREFLIGHT, first, upstream={"pretrain": pretrain})}
    none = {"leastSquares": False, "batchNorm": False}
    found = []
    for repair in (none, {**none, "batchNorm": True}, {}):
        spec = spec_of(pruning={**pruning, "repair": repair}, fineTune=tune)
        done = home.done(Stage.ROUND, spec, upstream=upstream, round={"number": 1, "share": 1})
        found.append(done.outcome.round)
    assert len({outcome.metric_cut for outcome in found}) == 1
    assert found[0].metric_repaired == found[0].metric_cut
    assert found[0].metric_repaired < found[1].metric_repaired < found[2].metric_repaired
    assert found[2].recovered == found[2].metric_repaired


def slow_normalisations():
    """A net whose running averages hardly move in one round, as MobileNetV3's."""
    net = residual_net(width=8)
    for layer in net.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            layer._momentum = 0.999
    return net


def test_a_round_leaves_the_statistics_of_the_weights_that_it_leaves(home):
    model = {**spec_of()["model"], "factory": f"{__name__}:slow_normalisations", "args": {}}
    rules = {"layers": [{"match": "layer3", "ratio": 0.25}], "align": 2}
    tune = {"dataFraction": 1, "epochs": 1, "learningRate": 0.02}
    spec = spec_of(model=model, pruning=rules, fineTune=tune)
    pretrain = home.unit(Stage.PRETRAIN, spec)
    upstream = {"preflight": home.unit(Stage.PREFLIGHT, spec, upstream={"pretrain": pretrain})}
    unit = home.unit(Stage.ROUND, spec, upstream=upstream, round={"number": 1, "share": 1})
    net = rebuilt(home.store.unit_file(unit, "checkpoint"))
    layers = [layer for layer in net.sublayers() if isinstance(layer, paddle.nn.BatchNorm2D)]
    left = [layer._mean.numpy() for layer in layers]
    recalibrate(net, load_data(stage_input(Stage.ROUND, spec, "unused").spec.data, 1).train, 100, 64, seed=1)
    for mean, layer in zip(left, layers, strict=True):
        assert np.abs(mean - layer._mean.numpy()).max() < 0.1 * np.sqrt(layer._variance.numpy()).max()


def test_a_diverging_round_commits_nothing(home, ready):
    spec = spec_of(fineTune={"dataFraction": 1, "epochs": 3, "learningRate": 10, "batchSize": 8})
    spec["evaluation"] = {"loss": f"{__name__}:not_a_number"}
    spec["pruning"] = {**PRUNING, "criterion": "l1_norm"}  # which does not ask the loss
    code, summary = home.run(Stage.ROUND, spec, upstream=ready, round={"number": 1, "share": 0.5})
    assert (code, summary.reason) == (ExitCode.INVALID_INPUT, Reason.TRAINING_DIVERGED.value)
    assert f"spec.evaluation.loss: {__name__}:not_a_number is nan in the first step" in summary.message
    assert home.store.result(summary.unit) is None


def not_a_number(output, label):
    """A loss that is never finite."""
    return output.sum() * float("nan")


def test_a_lost_curve_is_missing_data(home, preflight):
    code, summary = home.run(
        Stage.ROUND, spec_of(), upstream={"preflight": preflight}, round={"number": 1, "share": 0.5}
    )
    assert code == ExitCode.MISSING_DATA
    assert "no curve for" in summary.message


def test_a_truncated_base_checkpoint_is_missing_data(home, ready):
    unit = home.unit(Stage.ROUND, spec_of(), upstream=ready, round={"number": 1, "share": 0.25})
    path = home.folder / "store" / home.store.unit_ref(unit, "checkpoint").path
    path.write_bytes(path.read_bytes()[:1000])
    code, summary = home.run(
        Stage.ROUND, spec_of(), upstream=ready, round={"number": 2, "share": 0.5, "base": unit}
    )
    assert (code, summary.reason) == (ExitCode.MISSING_DATA, Reason.ARTIFACT_CORRUPT.value)
