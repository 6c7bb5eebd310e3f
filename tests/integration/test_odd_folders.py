"""Folders whose names mean something in a URI, a shell, a markup or a glob are folders like any other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
import yaml

from tests.integration.real import CODE, User
from tests.integration.runs import Secateur

COMMAND = str(Path(sys.executable).with_name("secateur"))
ODD = ["with a blank 50%25 #1? Büro 模型 a::b [red]*", "x" * 200]


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
def test_everything_of_a_run_is_in_its_home_and_is_found_there_again(tmp_path: Path, name: str) -> None:
    secateur = Secateur(tmp_path / name)
    first = secateur.run()
    assert first.returncode == 0, first.stderr
    assert str(secateur.home / "store") in first.stdout.replace("\n", "")
    assert len(list((secateur.home / "store" / "units").iterdir())) == len(secateur.worked())
    assert {one.name for one in tmp_path.iterdir()} == {name}
    worked = secateur.worked()
    assert secateur.run().returncode == 0
    assert secateur.worked() == worked
    verified = subprocess.run(
        [COMMAND, "store", "verify", "--home", str(secateur.home)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert verified.returncode == 0, verified.stderr
    assert str(secateur.home / "store") in verified.stdout


def test_a_home_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    home = os.fsencode(tmp_path) + b"/\xff"
    secateur = Secateur(tmp_path)
    secateur.home = Path(os.fsdecode(home))
    done = secateur.run()
    assert done.returncode == 2
    assert "bytes that are no text; choose another with --home" in done.stderr
    assert "Traceback" not in done.stderr


def test_code_in_a_folder_that_cuts_pythons_search_path_is_refused(tmp_path: Path) -> None:
    code = tmp_path / "a:b"
    code.mkdir()
    (code / "mine.py").write_text("")
    done = Secateur(tmp_path).run("--code", str(code))
    assert done.returncode == 2
    assert f"--code: {code} has ':' in its path" in done.stderr


def test_a_tilde_that_the_shell_left_is_the_users_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    secateur = Secateur(tmp_path)
    secateur.home = Path("~/kept")
    assert secateur.run().returncode == 0
    assert (tmp_path / "kept" / "store").is_dir()


@pytest.mark.paddle
@pytest.mark.slow
def test_a_run_may_write_its_output_home_and_job_beside_the_code(tmp_path: Path) -> None:
    """One folder for all, with an odd name; another target then trains no baseline again."""
    folder = tmp_path / "Büro 50%25 #1? 模型"
    shutil.copytree(CODE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = User(folder, folder / "home").write()
    with (folder / "out.txt").open("w") as out, (folder / "err.txt").open("w") as err:
        assert _secateur("run", folder, out, err) == 0, (folder / "err.txt").read_text()
    status = yaml.safe_load((folder / "out.txt").read_text())["status"]
    assert {one["reused"] for one in status["stages"]} == {False}
    uris = [one["uri"] for one in status["artifacts"]]
    assert uris
    assert all(Path(uri.removeprefix("file://")).exists() for uri in uris)
    document = yaml.safe_load(file.read_text())
    document["spec"]["pruning"]["target"]["macs"] = "25%"
    file.write_text(yaml.safe_dump(document))
    with (folder / "out.txt").open("w") as out, (folder / "err.txt").open("w") as err:
        assert _secateur("plan", folder, out, err) == 0, (folder / "err.txt").read_text()
    stages = yaml.safe_load((folder / "out.txt").read_text())["stages"]
    assert stages[0]["name"] == "pretrain"
    assert stages[0]["state"] == "reused"


def _secateur(command: str, folder: Path, out: IO[str], err: IO[str]) -> int:
    words = [COMMAND, command, "tiny.yaml", "--code", ".", "--home", "home", "-o", "yaml"]
    return subprocess.run(words, cwd=folder, stdout=out, stderr=err, check=False).returncode
