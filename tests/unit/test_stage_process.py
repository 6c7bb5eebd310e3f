"""What a stage process answers to input that it cannot work with; no Paddle is needed to say so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secateur_api.conditions import Reason
from secateur_api.stage import TERMINATION_LIMIT, ExitCode, Stage, StageSummary
from secateur_jobs.runtime.process import run_stage
from tests.jobs.stages import digits_spec, stage_input


@pytest.fixture
def termination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "termination.json"
    monkeypatch.setenv("SECATEUR_TERMINATION_LOG", str(path))
    monkeypatch.delenv("SECATEUR_INPUT", raising=False)
    monkeypatch.delenv("JOB_COMPLETION_INDEX", raising=False)
    return path


def _said(path: Path) -> StageSummary:
    assert path.stat().st_size <= TERMINATION_LIMIT
    return StageSummary.model_validate_json(path.read_text())


def _input(tmp_path: Path, stage: Stage = Stage.PRETRAIN, **spec: object) -> str:
    return json.dumps(stage_input(stage, digits_spec(**spec), tmp_path / "store").to_wire())


def _refused(stage: Stage, termination: Path, *words: str) -> StageSummary:
    code = run_stage(stage)
    said = _said(termination)
    assert code == ExitCode.INVALID_INPUT
    assert not said.ok
    for word in words:
        assert word in said.message
    return said


def test_no_input(termination: Path) -> None:
    _refused(Stage.PRETRAIN, termination, "SECATEUR_INPUT is not set")


def test_input_that_is_no_json(termination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECATEUR_INPUT", "{not json")
    _refused(Stage.PRETRAIN, termination, "SECATEUR_INPUT", "JSON")


def test_a_wrong_field_is_named_by_its_path(
    termination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads(_input(tmp_path))
    document["spec"]["seed"] = -1
    monkeypatch.setenv("SECATEUR_INPUT", json.dumps(document))
    _refused(Stage.PRETRAIN, termination, "spec.seed")


def test_input_for_another_stage(termination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECATEUR_INPUT", _input(tmp_path))
    _refused(Stage.REPORT, termination, "asked to run report", "for pretrain")


@pytest.mark.parametrize("index", ["1", "-1", "one"])
def test_a_shard_that_does_not_exist(
    termination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    monkeypatch.setenv("SECATEUR_INPUT", _input(tmp_path))
    monkeypatch.setenv("JOB_COMPLETION_INDEX", index)
    _refused(Stage.PRETRAIN, termination, "JOB_COMPLETION_INDEX", repr(index))


def test_a_store_of_an_unknown_kind(
    termination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads(_input(tmp_path))
    document["store"] = "nonsense://there"
    monkeypatch.setenv("SECATEUR_INPUT", json.dumps(document))
    _refused(Stage.PRETRAIN, termination, "nonsense://there")


def test_code_that_changed_since_the_job_began(
    termination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "mine.py").write_text("x = 1\n")
    monkeypatch.setenv("SECATEUR_INPUT", _input(tmp_path, code={"uri": str(folder), "sha256": "0" * 64}))
    said = _refused(Stage.PRETRAIN, termination, "spec.code.sha256", str(folder))
    assert said.reason == Reason.CODE_NOT_FOUND.value


def test_code_that_is_not_there(termination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(tmp_path / "none.whl")
    monkeypatch.setenv("SECATEUR_INPUT", _input(tmp_path, code={"uri": missing, "sha256": "0" * 64}))
    assert run_stage(Stage.PRETRAIN) == ExitCode.MISSING_DATA
    assert missing in _said(termination).message


def test_a_long_message_of_wide_letters_still_fits(
    termination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = "/" + "剪" * 900
    monkeypatch.setenv("SECATEUR_INPUT", _input(tmp_path, code={"uri": missing, "sha256": "0" * 64}))
    run_stage(Stage.PRETRAIN)
    assert _said(termination).message.startswith("spec.code.uri")


def test_a_message_file_in_a_folder_that_cannot_be_written(
    termination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod that is not root may write /dev/termination-log, but not /dev."""
    termination.write_text("")
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    _refused(Stage.PRETRAIN, termination, "SECATEUR_INPUT is not set")


def test_a_unit_of_sensitivity_is_named_by_the_curves_that_are_taken_over(
    termination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves, units = tmp_path / "sen.pickle", set()
    monkeypatch.setenv("SECATEUR_RECALL", "1")
    given = _input(tmp_path, Stage.SENSITIVITY, sensitivity={"file": {"uri": str(curves)}})
    monkeypatch.setenv("SECATEUR_INPUT", given)
    for content in (b"one", b"two", b"two"):
        curves.write_bytes(content)
        assert run_stage(Stage.SENSITIVITY) == ExitCode.RETRYABLE  # there is no such unit yet
        units.add(_said(termination).unit)
    assert len(units) == 2
    curves.unlink()
    assert run_stage(Stage.SENSITIVITY) == ExitCode.MISSING_DATA
    assert "spec.sensitivity.file.uri: there is no file" in _said(termination).message
