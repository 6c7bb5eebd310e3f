"""A stage as process 1, as it is in a container: it ends when it is asked to, and takes all with it."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from secateur_api.code_digest import code_sha256
from secateur_api.stage import INPUT_VARIABLE, TERMINATION_VARIABLE, Stage
from tests.jobs.stages import digits_spec, stage_input

_CODE = """
import ctypes, os, pathlib, signal, subprocess

def stuck(started):
    # a child in a session of its own, then a call into C that lets no other Python code run
    child = subprocess.Popen(["sleep", "300"], start_new_session=True)
    pathlib.Path(started).write_text("x")
    ctypes.PyDLL(None).sleep(300)

def killed(started):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@functools.cache
def _namespace() -> tuple[str, ...]:
    """Return the command that makes a new space of process ids; skips the test where none may be made."""
    for privileges in ((), ("--user", "--map-root-user")):
        command = ("unshare", *privileges, "--pid", "--fork", "--kill-child")
        try:
            made = subprocess.run([*command, "true"], capture_output=True, check=False)
        except FileNotFoundError:
            break
        if made.returncode == 0:
            return command
    pytest.skip("needs unshare (util-linux) and the right to make a PID namespace")


@contextlib.contextmanager
def _stage(tmp_path: Path, factory: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run stage pretrain as process 1, with a data factory of ``_CODE``."""
    command = _namespace()
    code = tmp_path / "code"
    code.mkdir()
    (code / "mine.py").write_text(_CODE)
    spec = digits_spec(
        data={"factory": f"mine:{factory}", "args": {"started": str(tmp_path / "started")}},
        code={"uri": str(code), "sha256": code_sha256(code)},
    )
    request = stage_input(Stage.PRETRAIN, spec, tmp_path / "store")
    env = {
        **os.environ,
        INPUT_VARIABLE: request.model_dump_json(by_alias=True, exclude_none=True),
        TERMINATION_VARIABLE: str(tmp_path / "termination.json"),
        "TMPDIR": str(tmp_path),
    }
    argv = [*command, sys.executable, "-m", "secateur_jobs", "pretrain"]
    with subprocess.Popen(argv, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def _until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.paddle
@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_with_its_children_and_commits_nothing(tmp_path: Path, asked: signal.Signals) -> None:
    with _stage(tmp_path, "stuck") as outside:
        _until((tmp_path / "started").exists)
        everyone = psutil.Process(outside.pid).children(recursive=True)
        assert [process.name() for process in everyone].count("sleep") == 1
        everyone[0].send_signal(asked)
        code = outside.wait(timeout=10)
        gone, alive = psutil.wait_procs(everyone, timeout=10)
    assert code == 128 + asked
    assert not alive
    assert len(gone) == 3  # process 1, the stage, the stage's child
    assert not list((tmp_path / "store").glob("units/*/result.json"))


@pytest.mark.paddle
def test_the_stages_end_is_the_containers(tmp_path: Path) -> None:
    """As after a kill for lack of memory that hit the stage alone."""
    with _stage(tmp_path, "killed") as outside:
        assert outside.wait(timeout=60) == 128 + signal.SIGKILL


def test_its_exit_code_is_passed_on() -> None:
    argv = [*_namespace(), sys.executable, "-m", "secateur_jobs", "no-such-stage"]
    assert subprocess.run(argv, capture_output=True, check=False).returncode == 64
