"""``secateur status``, ``logs``, ``report`` and ``fetch`` on a home, also while another has its lock."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from secateur_operator.gateway.local.home import Home
from tests.integration import damage
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


def test_several_jobs_are_listed_and_one_must_be_named(finished: Secateur) -> None:
    (job,) = (finished.home / "jobs").iterdir()
    other = job.with_name("other")
    other.mkdir()
    (other / "resource.json").write_text((job / "resource.json").read_text())
    listed = look(finished.home, "status").stdout
    assert job.name in listed
    assert "other" in listed
    for command in ("logs", "report"):
        refused = look(finished.home, command)
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"say which job: it has {job.name}, other;")
    refused = look(finished.home, "logs", "other", "--stage", "round")
    assert (refused.returncode, refused.stderr) == (2, "other has no log of stage round\n")
    refused = look(finished.home, "status", "nobody")
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


def artifacts(home: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = yaml.safe_load(look(home, "status", "-o", "yaml").stdout)["status"][
        "artifacts"
    ]
    return found


def test_fetch_copies_every_result_as_the_status_names_it(home: Path, tmp_path: Path) -> None:
    to = tmp_path / "new" / "results"
    said = look(home, "fetch", "--to", str(to))
    assert (said.returncode, said.stderr) == (0, "")
    copied = [Path(line) for line in said.stdout.splitlines()]
    assert sorted(copied) == sorted(to.iterdir())
    expected = artifacts(home)
    assert {one["kind"] for one in expected} == {"model", "checkpoint", "report", "card", "manifest"}
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in copied] == [
        one["sha256"] for one in expected
    ]
    assert [path.name for path in copied] == [one["uri"].split("/")[-1] for one in expected]
    again = look(home, "fetch", "--to", str(to))
    assert (again.returncode, again.stderr) == (2, f"{to} is there already; name a new folder with --to\n")


def test_fetch_finds_the_results_of_a_home_that_was_moved(home: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(home, moved)
    for artifact in artifacts(moved):
        damage.flip_a_bit(moved / "store" / artifact["uri"].removeprefix(f"file://{home}/store/"))
    assert look(moved, "fetch", "--to", str(tmp_path / "results")).returncode == 2  # it reads no other home
    assert look(home, "fetch", "--to", str(tmp_path / "results")).returncode == 0


@pytest.mark.parametrize("how", list(damage.KINDS))
def test_fetch_copies_nothing_where_one_file_is_damaged(home: Path, tmp_path: Path, how: str) -> None:
    last = Path(artifacts(home)[-1]["uri"].removeprefix("file://"))
    whole = last.read_bytes()
    damage.KINDS[how](last)
    try:
        said = look(home, "fetch", "--to", str(tmp_path / "results"))
    finally:
        last.write_bytes(whole)
    assert (said.returncode, said.stdout, said.stderr.count("\n")) == (2, "", 1)
    assert f"{last}" in said.stderr
    assert "nothing was copied" in said.stderr
    assert not list(tmp_path.iterdir())


def test_fetch_refuses_a_job_that_has_not_finished_and_a_folder_that_cannot_be(
    home: Path, tmp_path: Path
) -> None:
    unfinished = tmp_path / "home"
    shutil.copytree(home, unfinished)
    (file,) = unfinished.glob("jobs/*/resource.json")
    document = json.loads(file.read_text())
    document["status"].update(phase="Running", percent=40.0)
    file.write_text(json.dumps(document))
    said = look(unfinished, "fetch", "--to", str(tmp_path / "results"))
    assert said.returncode == 2
    assert "has not finished: Running, 40% done" in said.stderr
    said = look(home, "fetch", "--to", str(file / "results"))
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    assert "Not a directory" in said.stderr
    said = look(home, "fetch", "--to", str(tmp_path / "results"), "-n", "team")
    assert (said.returncode, said.stderr) == (2, "--namespace is a cluster's; give --cluster too\n")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_fetch_of_a_failed_job_says_so(tmp_path: Path) -> None:
    secateur = Secateur(tmp_path)
    secateur.run(fail={"convert": [64, "ToolchainMissing", "no Paddle Lite here"]})
    said = look(secateur.home, "fetch", "--to", str(tmp_path / "results"))
    assert said.returncode == 0
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["checkpoint.safetensors"]
    assert "digits Failed: convert: no Paddle Lite here" in said.stderr


def test_an_empty_home_says_so(tmp_path: Path) -> None:
    refused = look(tmp_path, "status")
    assert refused.returncode == 2
    assert "has no job" in refused.stderr
    assert not list(tmp_path.iterdir())
