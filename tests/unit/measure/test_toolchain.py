"""A job that asks for paddle-lite where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import Backend, Convert, Format
from secateur_api.stage import LITE_PYTHON_VARIABLE
from secateur_jobs.conversion import toolchain
from secateur_jobs.runtime.errors import InvalidInput

LITE = [Convert(format=Format.ONNX), Convert(format=Format.PADDLE_LITE, backend=Backend.ARM)]


def refusal() -> str:
    with pytest.raises(InvalidInput) as caught:
        toolchain.require(LITE)
    assert caught.value.reason is Reason.TOOLCHAIN_MISSING
    assert "\n" not in caught.value.message
    assert "ONNX conversion still works" in caught.value.message
    return caught.value.message


def test_no_environment_beside_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LITE_PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert "no .venv-lite" in refusal()


def test_a_named_interpreter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LITE_PYTHON_VARIABLE, "/nowhere/python3.10")
    assert f"{LITE_PYTHON_VARIABLE}=/nowhere/python3.10 is no program" in refusal()


def test_an_interpreter_without_paddle_lite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LITE_PYTHON_VARIABLE, sys.executable)
    assert "cannot load Paddle Lite (ModuleNotFoundError: No module named 'paddlelite'" in refusal()


def test_onnx_alone_needs_no_paddle_lite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LITE_PYTHON_VARIABLE, "/nowhere/python3.10")
    toolchain.require([Convert(format=Format.ONNX)])
