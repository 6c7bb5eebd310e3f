"""``secateur run`` with real child processes: resume, interruption, kill, trees, two runs, messages."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.integration import damage
from tests.integration.runs import Secateur

STAGES = ["pretrain", "preflight", "sensitivity", "round", "round", "round", "convert", "benchmark", "report"]


def wait_for(what: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def secateur(tmp_path: Path) -> Secateur:
    return Secateur(tmp_path, sensitivity={"shards": 2})


def test_a_job_runs_and_the_same_again_measures_nothing_and_says_so(secateur: Secateur) -> None:
    first = secateur.run()
    assert first.returncode == 0, first.stderr
    assert "digits: Succeeded" in first.stdout
    assert str(secateur.home / "store") in first.stdout.replace("\n", "")
    assert len(secateur.worked()) == len(STAGES) + 1  # two shards
    assert "[  0%] run 1 starts" in first.stderr
    again = secateur.run()
    assert again.returncode == 0
    words = " ".join(again.stdout.replace("│", "").split())
    assert "benchmark: measured on 2026-01-31 12:00 UTC, reused" in words
    assert again.stdout.split("Before and after")[1] == first.stdout.split("Before and after")[1]
    assert len(secateur.worked()) == len(STAGES) + 1


def test_fresh_measures_anew_and_that_counts_from_then_on(finished: Secateur) -> None:
    before = finished.worked()
    fresh = finished.run("--fresh")
    assert fresh.returncode == 0, fresh.stderr
    assert "reused" not in fresh.stdout
    anew = finished.worked()[len(before) :]
    assert len(anew) == len(before)
    assert not {*anew} & {*before}
    assert "reused" in finished.run().stdout
    assert len(finished.worked()) == 2 * len(before)


def test_outputs_are_the_resource(secateur: Secateur) -> None:
    for resource in (
        json.loads(secateur.run("-o", "json").stdout),
        yaml.safe_load(secateur.run("-o", "yaml").stdout),
    ):
        assert resource["status"]["phase"] == "Succeeded"
        assert [one["name"] for one in resource["status"]["stages"]] == STAGES
        assert all(one["sha256"] and one["bytes"] for one in resource["status"]["artifacts"])


@pytest.mark.parametrize("how", list(damage.KINDS))
def test_what_is_damaged_is_made_again_and_nothing_else(finished: Secateur, how: str) -> None:
    before = finished.worked()
    hit = [before[0], next(unit for unit in before if unit.startswith("convert-"))]
    for unit in hit:
        damage.KINDS[how](next(finished.home.glob(f"store/units/{unit}/*/*")))
    again = finished.run()
    assert "digits: Succeeded" in again.stdout
    made = [unit for unit in finished.worked()[len(before) :] if not unit.startswith("report-")]
    assert made == hit
    assert again.stderr.count("store/units/") == 2  # a note for each, which names the file
    finished.run()
    assert not [unit for unit in finished.worked()[len(before) + 2 :] if not unit.startswith("report-")]


@pytest.mark.parametrize("how", list(damage.KINDS))
def test_a_result_that_is_not_believed_is_made_again(finished: Secateur, how: str) -> None:
    before = finished.worked()
    (result,) = finished.home.glob("store/units/preflight-*/result.json")
    damage.KINDS[how](result)
    assert finished.result()["status"]["phase"] == "Succeeded"
    made = [unit for unit in finished.worked()[len(before) :] if not unit.startswith("report-")]
    assert made == [result.parent.name]


def test_a_unit_that_is_damaged_while_the_job_runs_is_made_again(secateur: Secateur) -> None:
    secateur.run(fail={"convert": [64, "ToolchainMissing", "no Paddle Lite here"]})
    before = secateur.worked()
    fail = {"convert": [66, "ArtifactCorrupt", "the checkpoint has 3 bytes", before[0]]}
    for file in secateur.home.glob(f"store/units/{before[0]}/*/*"):
        damage.cut_short(file)
    ended = secateur.run("-o", "json", fail_once=fail)
    status = json.loads(ended.stdout)["status"]
    assert (status["phase"], status["mended"]) == ("Succeeded", 1)
    assert secateur.worked()[len(before)] == before[0]
    assert f"to make {before[0]} again" in ended.stderr


def test_a_failed_job_runs_again_and_finds_what_was_done(secateur: Secateur) -> None:
    failed = secateur.run(fail={"convert": [64, "ToolchainMissing", "no Paddle Lite here"]})
    assert failed.returncode == 1
    assert "digits: Failed" in failed.stdout
    assert "convert: no Paddle Lite here (log: " in failed.stdout.replace("│\n│ ", "").replace("\n", "")
    before = secateur.worked()
    status = secateur.result()["status"]
    assert (status["phase"], status["run"]) == ("Succeeded", 2)
    assert secateur.worked()[: len(before)] == before
    assert len(set(secateur.worked())) == len(secateur.worked()) == len(STAGES) + 1


def test_a_changed_spec_starts_anew_and_keeps_what_still_counts(finished: Secateur) -> None:
    before = len(finished.worked())
    finished.write(sensitivity={"shards": 2}, constraints=[{"metric": "speedup", "min": "9x"}])
    resource = finished.result()
    assert resource["metadata"]["generation"] == 2
    assert resource["status"]["phase"] == "Failed"
    assert len(finished.worked()) == before + 1  # only the report reads the constraints


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_ends_its_trees_and_goes_on(secateur: Secateur, number: signal.Signals) -> None:
    process = secateur.start(seconds=3, child=["preflight"])
    wait_for(lambda: sum("sleep 360" in line for line in secateur.processes()) == 2)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "run the same command again" in err
    assert secateur.processes() == []
    status = secateur.result()["status"]
    assert (status["phase"], status["run"]) == ("Succeeded", 1)
    assert {one["attempt"] for one in status["stages"]} == {1}
    assert len(set(secateur.worked())) == len(secateur.worked()) == len(STAGES) + 1


def test_a_process_that_does_not_listen_is_killed(secateur: Secateur) -> None:
    process = secateur.start(seconds=60, deaf=["pretrain"])
    wait_for(lambda: list(secateur.home.glob("jobs/digits/children/*/0.log")))
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert secateur.processes() == []


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_it_goes_on(secateur: Secateur, seed: int) -> None:
    """kill -9 at random moments until it gets through; no unit is worked on twice, nothing survives."""
    dice = random.Random(seed)
    kills = 0
    for _ in range(4):
        process = secateur.start(seconds=0.02, child=["preflight"])
        try:
            process.wait(timeout=0.6 + dice.random() * 2.5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
        process.communicate()
        wait_for(lambda: not [line for line in secateur.processes() if "stand_in" in line])
        if secateur.ended():
            break
    status = secateur.ended() or secateur.result()["status"]  # a fast machine is through before the last kill
    assert kills
    assert (status["phase"], status["run"]) == ("Succeeded", 1)
    assert [one["name"] for one in status["stages"]] == STAGES
    assert {one["attempt"] for one in status["stages"]} == {1}
    assert len(set(secateur.worked())) == len(secateur.worked()) == len(STAGES) + 1
    assert secateur.processes() == []
    assert list(secateur.home.rglob("*.tmp")) == []


def test_no_stage_survives_the_run_that_started_it(secateur: Secateur) -> None:
    process = secateur.start(seconds=3600, deaf=["pretrain"])
    wait_for(lambda: any("stand_in" in line for line in secateur.processes()))
    process.kill()
    process.communicate()
    wait_for(lambda: not secateur.processes(), seconds=5)


def test_two_runs_on_one_home(secateur: Secateur) -> None:
    first = secateur.start(seconds=3)
    wait_for(lambda: (secateur.home / "lock").exists() and (secateur.home / "lock").read_text())
    second = secateur.run()
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"in use by another run (process {first.pid})" in second.stderr
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=20)


def test_a_home_that_cannot_be_written(secateur: Secateur) -> None:
    (secateur.folder / "file").write_text("")
    secateur.home = secateur.folder / "file" / "home"
    done = secateur.run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot use" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_suspended_job_says_so(secateur: Secateur) -> None:
    secateur.write(suspend=True)
    done = secateur.run()
    assert done.returncode == 1
    assert "Suspended" in done.stdout
    secateur.write()
    assert secateur.result()["status"]["phase"] == "Succeeded"


def test_a_shard_that_nothing_can_mend_ends_the_others(secateur: Secateur) -> None:
    start = time.monotonic()
    done = secateur.run(seconds=0.4, fail={"sensitivity": [64, "DatasetInvalid", "item 3 has no label"]})
    assert done.returncode == 1
    assert "item 3 has no label" in done.stdout
    assert time.monotonic() - start < 15
    assert secateur.processes() == []
