"""The verdict: every bound against what was measured."""

from __future__ import annotations

from typing import Any

import pytest

from secateur_api import PruningJobStatus
from secateur_api.status import Judged, Verdict
from secateur_operator.domain import judge
from tests import outcomes
from tests.control_plane.fake_cluster import FakeCluster
from tests.unit.control.jobs import START, all_well, document, drive, job

BOTH = {
    "convert": [
        {"format": "paddle-lite", "backend": "arm"},
        {"format": "paddle-lite", "backend": "x86"},
        {"format": "onnx"},
    ],
    "benchmark": [{"format": "paddle-lite"}, {"format": "onnx"}],
}


UNTRAINED = {
    "factory": "zoo:net",
    "weights": {"uri": "net.npz"},
    "inputs": [{"name": "image", "shape": [1, 1, 32, 32]}],
}


def measured() -> PruningJobStatus:
    """Return the status of a job that measured: drop 0.1 %, p50 6 ms, 1.6x, 150 kB, half the MACs."""
    cluster = FakeCluster(all_well, START)
    return drive(cluster, cluster.apply(document(**BOTH)))


STATUS = measured()


def verdict(status: PruningJobStatus = STATUS, **spec: Any) -> Verdict:
    return judge.verdict(job(**{**BOTH, **spec}).spec, status)


def only(constraint: dict[str, Any]) -> list[Judged]:
    return [one for one in verdict(constraints=[constraint]).judged if not one.metric.startswith("target")]


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        ({"metric": "accuracyDrop", "max": "0.1%"}, True),
        ({"metric": "accuracyDrop", "max": "0.09%"}, False),
        ({"metric": "latencyP50", "max": "6ms"}, True),
        ({"metric": "latencyP50", "max": "5900us"}, False),
        ({"metric": "latencyP90", "max": "7200us"}, True),
        ({"metric": "latencyP90", "max": "7ms"}, False),
        ({"metric": "peakMemory", "max": "40M"}, True),
        ({"metric": "peakMemory", "max": "38Mi"}, False),
        ({"metric": "modelSize", "max": "150k"}, True),
        ({"metric": "modelSize", "max": "100Ki"}, False),
        ({"metric": "macs", "max": "500k"}, True),
        ({"metric": "macs", "max": "499k"}, False),
        ({"metric": "macs", "max": "50%"}, True),
        ({"metric": "macs", "max": "49%"}, False),
        ({"metric": "params", "max": "60%"}, True),
        ({"metric": "params", "max": "29k"}, False),
        ({"metric": "speedup", "min": "1.6x"}, True),
        ({"metric": "speedup", "min": "1.7x"}, False),
    ],
)
def test_each_metric_by_its_measurement(constraint: dict[str, Any], holds: bool) -> None:
    found = only(constraint)
    assert found
    assert {one.holds for one in found} == {holds}
    assert verdict(constraints=[constraint]).holds is holds


@pytest.mark.parametrize(
    ("constraint", "kinds"),
    [
        ({"metric": "modelSize", "max": "1Mi"}, {"paddle-lite/arm", "paddle-lite/x86", "onnx"}),
        ({"metric": "modelSize", "max": "1Mi", "backend": "arm"}, {"paddle-lite/arm"}),
        ({"metric": "modelSize", "max": "1Mi", "format": "onnx"}, {"onnx"}),
        ({"metric": "accuracyDrop", "max": "1%"}, {"paddle-lite/x86", "onnx"}),
        ({"metric": "latencyP50", "max": "1s", "format": "onnx"}, {"onnx"}),
    ],
)
def test_every_selected_measurement_is_judged(constraint: dict[str, Any], kinds: set[str]) -> None:
    found = {"/".join(part.value for part in (one.format, one.backend) if part) for one in only(constraint)}
    assert found == kinds


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("1%", "0.1% (95 %: -0.3% to 0.5%)"),
        ("0.2%", "0.1% (95 %: -0.3% to 0.5%), holds by less than its noise"),
        ("0.05%", "0.1% (95 %: -0.3% to 0.5%)"),
    ],
)
def test_a_drop_is_shown_with_its_interval_and_noise_is_said(limit: str, said: str) -> None:
    one = STATUS.benchmarks[0].model_copy(update={"drop_interval": [-0.003, 0.005]})
    found = verdict(
        STATUS.model_copy(update={"benchmarks": [one]}),
        constraints=[{"metric": "accuracyDrop", "max": limit}],
    )
    assert [j.measured for j in found.judged if j.metric == "accuracyDrop"] == [said]
    assert found.holds is (limit != "0.05%")


def test_a_drop_without_labels_is_one_of_agreement() -> None:
    unlabelled = {"model": UNTRAINED, "evaluation": {"metric": "agreement"}}
    (found,) = [
        one
        for one in verdict(constraints=[{"metric": "accuracyDrop", "max": "1%"}], **unlabelled).judged
        if one.metric == "accuracyDrop" and one.format == "onnx"
    ]
    assert found.name == "agreement drop (accuracyDrop) <= 1% on local-x86 (onnx)"


def test_the_baselines_file_is_not_judged() -> None:
    assert all(one.value == 150_000 for one in only({"metric": "modelSize", "max": "1Mi"}))


def test_a_constraint_that_nothing_measures_does_not_hold() -> None:
    found = verdict(constraints=[{"metric": "accuracyDrop", "max": "1%", "device": "pixel-6"}])
    assert (found.holds, found.reason) == (False, "NotMeasured")
    assert found.message == "accuracyDrop <= 1% on pixel-6: not measured"


def test_a_measured_miss_names_the_verdict_before_a_missing_number() -> None:
    gone = {"metric": "accuracyDrop", "max": "1%", "device": "pixel-6"}
    found = verdict(constraints=[gone, {"metric": "speedup", "min": "2x", "format": "onnx"}])
    assert found.reason == "ConstraintsNotMet"
    assert "speedup >= 2x on local-x86 (onnx): 1.60x, 0.40x short" in found.message
    assert "not measured" in found.message


def with_cut(cut: float, **update: Any) -> PruningJobStatus:
    last = STATUS.rounds[-1]
    outcome = last.outcome.model_copy(update={"cut_macs": cut, **update})
    return STATUS.model_copy(update={"rounds": [last.model_copy(update={"outcome": outcome})]})


@pytest.mark.parametrize(
    ("cut", "holds"),
    [(0.53, True), (0.5, True), (0.4999, False), (0.47, False)],
)
def test_the_target_is_reached_or_it_is_not(cut: float, holds: bool) -> None:
    pruning = {"target": {"macs": "50%"}, "align": 8}
    found = verdict(with_cut(cut), pruning=pruning)
    assert (found.holds, found.reason) == (holds, "ConstraintsMet" if holds else "TargetNotReached")


@pytest.mark.parametrize(
    ("target", "metric", "value", "holds"),
    [
        ({"size": "40%"}, "targetSize", 0.41, True),
        ({"size": "42%"}, "targetSize", 0.41, False),
        ({"latency": "37.5%"}, "targetLatency", 0.375, True),  # 1.6x
        ({"latency": "40%"}, "targetLatency", 0.375, False),
        ({"params": "30%"}, "targetParams", 0.2, False),
    ],
)
def test_each_target_is_judged_by_what_was_measured(
    target: dict[str, str], metric: str, value: float, holds: bool
) -> None:
    status = with_cut(0.5, cut_size=0.41, cut_params=0.2)
    found = verdict(status, pruning={"target": {"macs": "50%", **target}})
    assert [one.holds for one in found.judged if one.metric == "targetMacs"] == [True]
    mine = next(one for one in found.judged if one.metric == metric)
    assert (mine.value, mine.holds, found.holds) == (pytest.approx(value), holds, holds)
    assert found.reason == ("ConstraintsMet" if holds else "TargetNotReached")


def test_a_target_of_latency_without_a_benchmark_is_not_measured() -> None:
    status = with_cut(0.5).model_copy(update={"benchmarks": []})
    found = verdict(status, pruning={"target": {"latency": "30%"}})
    assert (found.holds, found.reason) == (False, "NotMeasured")
    assert "latency cut >= 30%: not measured" in found.message


def test_layer_rules_alone_must_be_reached_whole() -> None:
    pruning = {"layers": [{"match": "*", "ratio": 0.5}]}
    assert verdict(with_cut(0.3, share=1.0), pruning=pruning).holds
    found = verdict(with_cut(0.3, share=0.75), pruning=pruning)
    assert found.reason == "TargetNotReached"
    assert "layer rules reached >= 100%: 75%, 25.0 points short" in found.message


def test_nothing_measured_at_all() -> None:
    found = judge.verdict(job(constraints=[{"metric": "macs", "max": "1M"}]).spec, PruningJobStatus())
    assert (found.holds, found.reason) == (False, "NotMeasured")
    assert outcomes.BASELINE.macs == 1_000_000
