"""Stage report as a process would run it: committed once, and one clear error where a file is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secateur_api.results import StageOutcome
from secateur_api.stage import ExitCode, Stage, StageInput, StageResult, StageSummary, unit_name
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.runtime.process import run_stage
from secateur_jobs.runtime.store import Store
from secateur_jobs.stages import report
from tests.report_job import SampleJob


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((tmp_path / "store").as_uri())


def _run(request: StageInput, monkeypatch: pytest.MonkeyPatch, folder: Path) -> tuple[ExitCode, StageSummary]:
    message = folder / "termination"
    monkeypatch.setenv("SECATEUR_INPUT", request.model_dump_json(by_alias=True))
    monkeypatch.setenv("SECATEUR_TERMINATION_LOG", str(message))
    code = run_stage(Stage.REPORT)
    return code, StageSummary.model_validate_json(message.read_text())


def test_report_commits_page_and_card_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = SampleJob().write(store)
    code, summary = _run(request, monkeypatch, tmp_path)
    assert (code, summary.reused) == (ExitCode.DONE, False)
    assert store.unit_file(unit_name(request), "html").startswith(b"<!doctype html>")
    assert store.unit_file(unit_name(request), "card").startswith(b"---\n")
    assert _run(request, monkeypatch, tmp_path)[1].reused


def test_who_comes_second_says_that_the_result_is_reused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, write = SampleJob().write(store), report.run

    def slow(context: StageContext) -> StageOutcome:
        outcome = write(context)
        summary = StageSummary(
            stage=Stage.REPORT,
            unit=context.unit,
            ok=True,
            measured_at="2026-01-31T12:00:00Z",
            outcome=outcome,
        )
        store.commit(context.unit, StageResult(summary=summary, files=context.files))
        return outcome

    monkeypatch.setattr(report, "run", slow)
    _, summary = _run(request, monkeypatch, tmp_path)
    assert (summary.reused, summary.measured_at) == (True, "2026-01-31T12:00:00Z")


def test_an_altered_file_is_refused(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = SampleJob().write(store)
    store.write(store.unit_ref("round-3", "plan").path, b"{}")
    code, summary = _run(request, monkeypatch, tmp_path)
    assert code is ExitCode.MISSING_DATA
    assert "plan.json has 2 bytes" in summary.message
    assert summary.damaged == "round-3"
    assert store.look(unit_name(request)).result is None


def test_a_missing_unit_is_named(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = SampleJob().write(store)
    upstream = request.upstream.model_copy(update={"rounds": ["round-1", "round-9"], "model": "round-1"})
    code, summary = _run(request.model_copy(update={"upstream": upstream}), monkeypatch, tmp_path)
    assert code is ExitCode.MISSING_DATA
    assert "round-9" in summary.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verdict": {"holds": "perhaps"}}, "verdict.holds"),
        ({"upstream": {"preflight": None}}, "upstream.preflight"),
        ({"upstream": {"preflight": "preflight-1", "model": "round-7"}}, "round-7"),
    ],
)
def test_a_wrong_input_is_one_clear_error(
    change: dict[str, object],
    words: str,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = {**json.loads(SampleJob().write(store).model_dump_json(by_alias=True)), **change}
    code, summary = _run(StageInput.model_validate(document), monkeypatch, tmp_path)
    assert code is ExitCode.INVALID_INPUT
    assert words in summary.message
