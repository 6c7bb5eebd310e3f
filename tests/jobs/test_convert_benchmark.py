"""Stages convert and benchmark as processes; a narrower net stands for the pruned one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secateur_api.conditions import Reason
from secateur_api.results import ConvertOutcome, LatencySamples, Manifest, StageOutcome
from secateur_api.spec import Format, PruningJobSpec
from secateur_api.stage import (
    LITE_PYTHON_VARIABLE,
    TERMINATION_LIMIT,
    ExitCode,
    Stage,
    StageResult,
    StageSummary,
    Upstream,
)
from secateur_jobs import checkpoint, sources
from secateur_jobs.conversion.batches import first_batches
from secateur_jobs.conversion.convert import convert_model
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.store import Store
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.user_code import build_model, load_data
from tests.jobs.rebuilding import rebuilt
from tests.jobs.stages import Ended, digits_spec, run, stage_input

pytestmark = [pytest.mark.paddle, pytest.mark.lite]

BENCHMARKS = [{"format": "paddle-lite"}, {"format": "onnx"}]
SPEC = digits_spec(benchmark=BENCHMARKS)
BATCHED = [{"name": "image", "shape": [7, 1, 16, 16]}]  # 7 does not divide the evaluation set
SPEC["model"]["inputs"] = BATCHED
UPSTREAM = Upstream(preflight="preflight-1", model="round-1")


def commit(context: StageContext, stage: Stage) -> None:
    """Commit what a context holds, as a finished stage does."""
    summary = StageSummary(stage=stage, unit=context.unit, ok=True, outcome=StageOutcome())
    result = StageResult(summary=summary, files=context.files)
    context.store.commit(context.unit, result)


def context_of(stage: Stage, unit: str, store: Path, scratch: Path) -> StageContext:
    """Return the context of an upstream stage."""
    request = stage_input(stage, SPEC, store)
    return StageContext(request=request, store=Store(str(store)), unit=unit, scratch=scratch)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a converted baseline and a checkpoint of half its width."""
    folder = tmp_path_factory.mktemp("job")
    store, spec = folder / "store", PruningJobSpec.model_validate(SPEC)
    baseline = context_of(Stage.PREFLIGHT, "preflight-1", store, folder)
    samples = first_batches(load_data(spec.data, 1).eval, spec.model.inputs)
    artifacts = convert_model(build_model(spec.model), spec, "baseline", baseline, samples)
    baseline.put_json("artifacts", ConvertOutcome(artifacts=artifacts))
    baseline.put_json(sources.FILE, sources.find(spec)[0])
    commit(baseline, Stage.PREFLIGHT)
    narrow = spec.model.model_copy(update={"args": {"width": 4}})
    pruned = context_of(Stage.ROUND, "round-1", store, folder)
    pruned.put("checkpoint", "checkpoint.safetensors", checkpoint.to_bytes(build_model(narrow), spec.model))
    commit(pruned, Stage.ROUND)
    return store


def convert(store: Path, scratch: Path, **more: Any) -> Ended:
    return run("convert", stage_input(Stage.CONVERT, SPEC, store, upstream=UPSTREAM), scratch, **more)


@pytest.fixture(scope="module")
def converted(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Stage convert, done."""
    ended = convert(store, tmp_path_factory.mktemp("convert"))
    assert ended.code == ExitCode.DONE, ended.stderr
    return ended


def benchmark(store: Path, converted: Ended, scratch: Path) -> Ended:
    upstream = UPSTREAM.model_copy(update={"convert": converted.said.unit})
    return run("benchmark", stage_input(Stage.BENCHMARK, SPEC, store, upstream=upstream), scratch)


def test_convert_commits_files_and_a_manifest_of_both_models(
    store: Path, converted: Ended, tmp_path: Path
) -> None:
    outcome = converted.said.outcome.convert
    assert outcome is not None
    assert [(a.role, a.format.value) for a in outcome.artifacts] == [
        ("pruned", "paddle-lite"),
        ("pruned", "paddle-lite"),
        ("pruned", "onnx"),
    ]
    assert len(converted.said.model_dump_json(by_alias=True, exclude_none=True)) <= TERMINATION_LIMIT
    manifest = Store(str(store)).unit_json(converted.said.unit or "", "manifest", Manifest)
    assert [a.role for a in manifest.artifacts] == ["baseline"] * 3 + ["pruned"] * 3
    for before, after in zip(manifest.artifacts[:3], manifest.artifacts[3:], strict=True):
        assert after.bytes < before.bytes
        assert (store / after.path).stat().st_size == after.bytes
    percents = [p.percent for p in converted.progress]
    assert percents == sorted(percents)
    again = convert(store, tmp_path)
    assert again.said.reused


def test_benchmark_measures_both_models_of_every_format(
    store: Path, converted: Ended, tmp_path: Path
) -> None:
    ended = benchmark(store, converted, tmp_path)
    assert ended.code == ExitCode.DONE, ended.stderr
    outcome = ended.said.outcome.benchmark
    assert outcome is not None
    assert [b.format for b in outcome.benchmarks] == [Format.PADDLE_LITE, Format.ONNX]
    spec = PruningJobSpec.model_validate(SPEC)
    dataset = load_data(spec.data, 1).eval
    net = rebuilt(Store(str(store)).unit_file("round-1", "checkpoint"))
    expected = evaluate(net, dataset, spec.evaluation)
    for index, one in enumerate(outcome.benchmarks):
        samples = Store(str(store)).unit_json(ended.said.unit or "", f"samples-{index}", LatencySamples)
        assert len(samples.baseline_seconds) == len(samples.pruned_seconds) == one.runs == 200
        assert 0 < one.pruned.p50_seconds <= one.pruned.p90_seconds
        assert one.speedup > 1, "a net of a quarter of the MACs must be faster"
        assert one.pruned.metric == pytest.approx(expected, abs=1 / len(dataset))
        assert 2**20 < one.pruned.peak_memory_bytes < 2**30
        assert one.pruned.bytes < one.baseline.bytes
    percents = [p.percent for p in ended.progress]
    assert percents == sorted(percents)
    assert len(ended.said.model_dump_json(by_alias=True, exclude_none=True)) <= TERMINATION_LIMIT


def test_a_damaged_model_in_the_store_is_found_before_it_is_measured(
    store: Path, converted: Ended, tmp_path: Path
) -> None:
    outcome = converted.said.outcome.convert
    assert outcome is not None
    path = store / next(a.path for a in outcome.artifacts if a.backend and a.backend.value == "x86")
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    unit = Store(str(store))
    try:
        # another benchmark unit than the finished one
        spec = {**SPEC, "benchmark": [{"format": "paddle-lite", "runs": 201}]}
        upstream = UPSTREAM.model_copy(update={"convert": converted.said.unit})
        ended = run("benchmark", stage_input(Stage.BENCHMARK, spec, store, upstream=upstream), tmp_path)
    finally:
        path.write_bytes(content)
    assert ended.code == ExitCode.MISSING_DATA
    assert ended.said.reason == Reason.ARTIFACT_CORRUPT.value
    assert path.name in ended.said.message
    assert ended.said.unit is not None
    assert unit.result(ended.said.unit) is None


@pytest.mark.parametrize(
    ("file_limit", "reason"),
    [
        pytest.param(12_000, Reason.STORE_UNAVAILABLE, id="while the program is exported"),
        pytest.param(30_000, Reason.STORE_FULL, id="while paddlelite writes the model"),
    ],
)
def test_a_full_disk_is_retryable_and_commits_nothing(
    file_limit: int, reason: Reason, store: Path, tmp_path: Path
) -> None:
    spec = {**SPEC, "convert": [{"format": "paddle-lite", "backend": "x86"}], "benchmark": []}
    spec["evaluation"] = {"batchSize": file_limit}  # a unit of its own
    request = stage_input(Stage.CONVERT, spec, store, upstream=UPSTREAM)
    limited = run("convert", request, tmp_path, file_limit=file_limit)
    assert limited.code == ExitCode.RETRYABLE, limited.stderr
    assert limited.said.reason == reason.value, limited.said.message
    assert Store(str(store)).result(limited.said.unit or "") is None
    after = run("convert", request, tmp_path)
    assert after.code == ExitCode.DONE
    assert not after.said.reused


def test_without_paddle_lite_the_stage_says_what_is_missing(store: Path, tmp_path: Path) -> None:
    spec = {**SPEC, "convert": [{"format": "paddle-lite", "backend": "arm"}], "benchmark": []}
    request = stage_input(Stage.CONVERT, spec, store, upstream=UPSTREAM)
    ended = run("convert", request, tmp_path, **{LITE_PYTHON_VARIABLE: "/nowhere/python"})
    assert ended.code == ExitCode.INVALID_INPUT
    assert ended.said.reason == Reason.TOOLCHAIN_MISSING.value
    assert "ONNX conversion still works" in ended.said.message
