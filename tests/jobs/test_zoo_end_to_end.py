"""The zoo's examples as whole jobs, with so little data and training that only the accuracy is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import secateur
from secateur_api import parse_job
from secateur_api.results import ConvertOutcome, GroupTable, RoundPlan
from secateur_jobs.pruning.layers import cuttable_layers, width
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.widths import kept_width
from secateur_jobs.runtime.store import Store
from tests.bench.job import job, run

pytestmark = [pytest.mark.paddle, pytest.mark.lite, pytest.mark.slow]

_EVAL_ROWS = 160
_ROUNDS_BY_TARGET = ["pretrain", "preflight", "sensitivity", "round", "convert", "benchmark", "report"]
_ROUNDS_BY_RULES = [name for name in _ROUNDS_BY_TARGET if name != "sensitivity"]


@pytest.fixture(scope="module")
def few_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's file of images: 480 of scikit-learn's digits."""
    digits = load_digits()
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    images = (digits.images[:480] * 15.9).astype(np.uint8)
    np.savez(path, images=images, labels=digits.target[:480])
    return path


def hurried(name: str, data: Path) -> dict[str, Any]:
    """Return an example that takes seconds: 16x16, 320 images once for training, one round, no floor."""
    document = job(f"examples/{name}.yaml")
    spec = document["spec"]
    spec["model"]["inputs"][0]["shape"] = [1, 1, 16, 16]
    spec["model"]["pretrain"]["epochs"] = 1
    args = {"path": str(data), "train_rows": 320, "eval_rows": _EVAL_ROWS, "size": 16}
    spec["data"] = {"factory": "secateur_jobs.data.arrays:npz_splits", "args": args}
    spec["constraints"] = []
    spec["sensitivity"] = {"ratios": [0.75], "dataFraction": 0.25}
    spec["pruning"]["schedule"] = {"rounds": 1, "step": 1, "floor": "100%"}
    spec["fineTune"] = {"dataFraction": 0.25, "epochs": 1}
    spec["convert"] = [{"format": "paddle-lite", "backend": "x86"}]
    spec["benchmark"] = [{"format": "paddle-lite"}]
    if "quantize" in spec:
        spec["quantize"] = {"weights": "int16"}  # of a net that has hardly learnt, 8 bits change answers
    return document


@pytest.mark.parametrize("name", ["mobilenet-v2", "mobilenet-v3", "resnet50"])
def test_every_stage_of_the_example_runs_and_measures(name: str, few_digits: Path, tmp_path: Path) -> None:
    document = hurried(name, few_digits)
    status = run(document, tmp_path)["status"]
    assert status["phase"] == "Succeeded", status["message"]
    by_rules = "layers" in document["spec"]["pruning"]
    names = [s["name"] for s in status["stages"] if s["name"] != "quantize"]
    assert names == (_ROUNDS_BY_RULES if by_rules else _ROUNDS_BY_TARGET)
    assert (len(names) < len(status["stages"])) == ("quantize" in document["spec"])
    store = Store(str(tmp_path / "store"))

    (done,) = status["rounds"]
    plan = store.unit_json(done["unit"], "plan", RoundPlan)
    checkpoint = next(a for a in status["artifacts"] if a["kind"] == "checkpoint")
    net = secateur.load(checkpoint["uri"].removeprefix("file://"))
    assert {n: width(layer) for n, layer in cuttable_layers(net).items()} == {
        w.layer: w.after for w in plan.widths
    }
    counts = count(net, parse_job(document).spec.model.inputs)
    numbers = done["outcome"]["numbers"]
    assert (counts.macs, counts.params) == (numbers["macs"], numbers["params"])
    assert counts.macs < status["preflight"]["baseline"]["macs"]
    _check_ratios(document, store, status, plan)

    baseline = next(s["units"][0] for s in status["stages"] if s["name"] == "preflight")
    converted = store.unit_json(baseline, "artifacts", ConvertOutcome).to_wire()["artifacts"]
    run_here = [a for a in [*converted, *status["converted"]] if a["backend"] == "x86"]
    assert [a["role"] for a in run_here] == ["baseline", "pruned"]
    for artifact in run_here:
        assert artifact["parity"]["maxRel"] <= artifact["parity"]["tolerance"] <= 1e-3
    (bench,) = status["benchmarks"]
    assert bench["pruned"]["bytes"] < bench["baseline"]["bytes"]
    assert bench["pruned"]["metric"] == pytest.approx(numbers["metric"], abs=2 / _EVAL_ROWS)
    assert 0 < bench["pruned"]["p50Seconds"] <= bench["pruned"]["p90Seconds"]
    assert bench["speedup"] > 0


def _check_ratios(document: dict[str, Any], store: Store, status: dict[str, Any], plan: RoundPlan) -> None:
    """Rules are kept to the channel (rounded down to aligned widths); a target is reached."""
    spec = parse_job(document).spec
    preflight = next(s["units"][0] for s in status["stages"] if s["name"] == "preflight")
    groups = store.unit_json(preflight, "groups", GroupTable).groups
    if spec.pruning.target is not None:
        cut = status["rounds"][0]["outcome"]["cutMacs"]
        assert spec.pruning.target.shares["macs"] <= cut <= spec.pruning.target.shares["macs"] + 0.05
        return
    assert len(groups) == 37
    for group in groups:
        assert group.rule is not None
        kept = kept_width(group.channels, group.rule, spec.pruning.align)
        assert plan.ratios[group.name] == pytest.approx(1 - kept / group.channels)
    assert {round(g.rule or 0, 2) for g in groups} == {0.2, 0.3, 0.4}
