"""``secateur store`` on homes that the stand-in stages have filled, and the Job that does it on a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration import damage
from tests.integration.runs import Secateur

_SECATEUR = [sys.executable, "-m", "secateur_operator.cli", "store"]


def store(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_SECATEUR, *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def home(finished: Secateur) -> Path:
    return finished.home


def _files(home: Path) -> set[Path]:
    return {path for path in (home / "store").rglob("*") if path.is_file()}


def _leave(home: Path, path: str, days: float) -> Path:
    file = home / "store" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("left")
    written = file.stat().st_mtime - days * 86400
    os.utime(file, (written, written))
    return file


def test_list_and_verify(home: Path) -> None:
    listed = store("list", "--home", home)
    assert listed.returncode == 0, listed.stderr
    for unit in (home / "store" / "units").iterdir():
        assert unit.name in listed.stdout
    assert store("verify", "--home", home).returncode == 0
    file = next((home / "store").glob("units/convert-*/*/*"))
    damage.flip_a_bit(file)
    for options in (("--home", home), ("--store", (home / "store").as_uri())):
        verified = store("verify", *options)
        assert verified.returncode == 1
        assert f"file://{file} has" in verified.stdout
        assert "1 damaged" in verified.stdout


def test_what_no_job_names_goes_after_its_time(home: Path) -> None:
    whole = _files(home)
    old = [_leave(home, path, 40) for path in ("units/round-x/result.json", "units/round-x/ab/c.bin")]
    old += [_leave(home, f"{folder}/key/a.json", 40) for folder in ("points", "latency")]
    named = next((home / "store" / "units").glob("preflight-*")).relative_to(home / "store")
    old.append(_leave(home, f"{named}/0123456789ab/checkpoint.safetensors", 40))  # of an attempt
    young = _leave(home, "units/round-y/ab/c.bin", 20)
    dry = store("gc", "--home", home, "--dry-run")
    assert "5 files" in dry.stdout
    assert _files(home) == whole | {*old, young}
    assert store("gc", "--home", home).returncode == 0
    assert _files(home) == whole | {young}
    assert not (home / "store/units/round-x").exists()
    assert store("gc", "--home", home, "--older-than", "1h").returncode == 0
    assert _files(home) == whole
    assert store("verify", "--home", home).returncode == 0


def test_what_an_interrupted_stage_wrote_stays(tmp_path: Path) -> None:
    secateur = Secateur(tmp_path)
    process = secateur.start(seconds=60)
    while not list(secateur.home.glob("jobs/digits/children/*/0.log")):
        pass
    busy = store("gc", "--home", secateur.home)
    assert busy.returncode == 2
    assert "in use by another run" in busy.stderr
    process.terminate()
    process.communicate(timeout=20)
    point = _leave(secateur.home, "points/key/a.json", 0)
    assert store("gc", "--home", secateur.home, "--older-than", "0s").returncode == 0
    assert point.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gc", "--store", "s3://bucket/x"), "--cluster"),
        (("gc", "--older-than", "soon"), "--older-than: 'soon'"),
        (("list", "--home", "/nowhere"), "/nowhere is no home"),
        (("list", "--store", "nonsense://x"), "nonsense://x cannot be used"),
        (("list", "--claim", "x"), "--cluster"),
        (("list", "--cluster", "--claim", "x"), "--namespace"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(words: tuple[str, ...], said: str) -> None:
    done = store(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
