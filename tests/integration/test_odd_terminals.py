"""Wherever the lines go, the exit code is the job's, and there is no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.integration.runs import Secateur

COMMAND = str(Path(sys.executable).with_name("secateur"))
EXAMPLE = str(Path(__file__).parents[2] / "examples" / "digits.yaml")


def shell(line: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", line, COMMAND, EXAMPLE],
        check=False,
        capture_output=True,
        env={**os.environ, **env},
        timeout=60,
    )


@pytest.mark.parametrize("place", ["/dev/full", "&-"])
def test_a_job_whose_lines_nobody_can_read_ends_as_it_would(tmp_path: Path, place: str) -> None:
    secateur = Secateur(tmp_path)
    done = secateur.run(to=place)
    assert done.returncode == 0
    assert done.stdout == ""
    assert done.stderr == ""
    again = secateur.run(to=f"{place} 2>&3")
    assert again.returncode == 0
    assert "Traceback" not in again.stderr
    assert ("cannot be written to stdout: No space left" in again.stderr) is (place == "/dev/full")


def test_a_reader_that_ends_early_is_no_fault(tmp_path: Path) -> None:
    done = shell('"$0" crd | (exec <&-); echo ${PIPESTATUS[0]}')
    assert (done.stdout, done.stderr) == (b"0\n", b"")


@pytest.mark.parametrize("command", ["validate $1", "crd", "--help", "store --help"])
def test_output_that_is_lost_is_one_line_and_exit_code_1(command: str) -> None:
    done = shell(f'"$0" {command} >/dev/full')
    assert done.returncode == 1
    assert done.stderr == b"the output cannot be written: No space left on device\n"


def test_messages_that_nobody_can_read_are_not_results() -> None:
    done = shell('"$0" validate nothing.yaml 2>&-')
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")


@pytest.mark.parametrize("encoding", ["gbk", "ascii"])
def test_a_terminal_without_our_letters_shows_their_codes(tmp_path: Path, encoding: str) -> None:
    secateur = Secateur(tmp_path / "Bürö ✔ 模型")
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C.UTF-8"}
    done = secateur.run(env=env)
    assert done.returncode == 0, done.stderr
    assert "Succeeded" in done.stdout
    resource = secateur.run("-o", "yaml", env=env)
    uris = [one["uri"] for one in yaml.safe_load(resource.stdout)["status"]["artifacts"]]
    assert uris
    assert all(str(secateur.home) in uri for uri in uris)


@pytest.mark.parametrize("env", [{"COLUMNS": "20"}, {"NO_COLOR": "1", "TERM": "dumb"}])
def test_narrow_and_plain_terminals(env: dict[str, str]) -> None:
    for line in ('"$0" --help', '"$0" store --help', '"$0" validate $1'):
        done = shell(line, **env)
        assert (done.returncode, done.stderr) == (0, b"")
