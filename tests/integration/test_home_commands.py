"""``secateur status``, ``logs`` and ``report`` on a home, after a run and while it has the home's lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from secateur_operator.gateway.local.home import Home
from tests.integration.runs import Secateur


def look(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "secateur_operator.cli", words[0], "--home", str(home), *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    secateur = Secateur(tmp_path_factory.mktemp("run"))
    assert secateur.run().returncode == 0
    return secateur.home


def test_a_job_is_found_without_its_name_while_another_process_has_the_home(home: Path) -> None:
    lock = Home(home)
    try:
        (name,) = lock.jobs()
        shown = look(home, "status")
        assert f"{name}: Succeeded" in shown.stdout, shown.stderr
        document = yaml.safe_load(look(home, "status", name, "-o", "yaml").stdout)
        assert document["status"]["phase"] == "Succeeded"
    finally:
        lock.close()


def test_several_jobs_are_listed_and_one_must_be_named(tmp_path: Path) -> None:
    first = Secateur(tmp_path)
    assert first.run().returncode == 0
    (job,) = (first.home / "jobs").iterdir()
    other = job.with_name("other")
    other.mkdir()
    (other / "resource.json").write_text((job / "resource.json").read_text())
    listed = look(first.home, "status").stdout
    assert job.name in listed
    assert "other" in listed
    for command in ("logs", "report"):
        refused = look(first.home, command)
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"say which job: it has {job.name}, other;")
    refused = look(first.home, "logs", "other", "--stage", "round")
    assert (refused.returncode, refused.stderr) == (2, "other has no log of stage round\n")
    refused = look(first.home, "status", "nobody")
    assert refused.returncode == 2
    assert "has no job 'nobody'" in refused.stderr


def test_logs_are_of_the_newest_stage_or_of_the_one_that_is_named(home: Path) -> None:
    newest, named = look(home, "logs"), look(home, "logs", "--stage", "preflight")
    assert newest.stdout.count("==>") == 1
    assert "-report-" in newest.stdout
    assert "-preflight-" in named.stdout
    assert "secateur-progress" not in newest.stdout + named.stdout


def test_report_says_where_it_lies(home: Path) -> None:
    said = look(home, "report")
    assert said.returncode == 0, said.stderr
    assert Path(said.stdout.strip()).is_file()


def test_an_empty_home_says_so(tmp_path: Path) -> None:
    refused = look(tmp_path, "status")
    assert refused.returncode == 2
    assert "has no job" in refused.stderr
    assert not list(tmp_path.iterdir())
