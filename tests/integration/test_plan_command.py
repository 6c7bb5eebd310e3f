"""``secateur plan``: what it says of a store, and that a run then does just that."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration import damage
from tests.integration.runs import Secateur
from tests.integration.test_local_run import STAGES, wait_for
from tests.unit.control.jobs import document

TWO_SHARDS = {"sensitivity": {"shards": 2}}


@pytest.fixture
def secateur(tmp_path: Path) -> Secateur:
    return Secateur(tmp_path, **TWO_SHARDS)


def plan(secateur: Secateur, *options: str) -> dict[str, Any]:
    said = secateur.run("-o", "json", *options, command="plan")
    assert said.returncode == 0, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def states(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["name"], one["state"]) for one in found["stages"]]


def test_with_nothing_done_only_the_first_stage_is_known(secateur: Secateur) -> None:
    found = plan(secateur)
    first, *others = states(found)
    assert first == ("pretrain", "toDo")
    assert {state for _, state in others} == {"open"}
    assert [name for name, _ in others] == [
        "preflight",
        "sensitivity",
        "round",
        "convert",
        "benchmark",
        "report",
    ]
    assert not any("seconds" in one or "measuredAt" in one for one in found["stages"])
    assert not secateur.home.exists()
    shown = secateur.run(command="plan").stdout
    assert "at most 5 in all" in shown
    assert "depends on pretrain" in shown


def test_with_all_done_all_is_reused_and_a_run_measures_nothing(finished: Secateur) -> None:
    before = finished.worked()
    found = plan(finished)
    assert states(found) == [(name, "reused") for name in STAGES]
    assert {one["measuredAt"] for one in found["stages"]} == {"2026-01-31T12:00:00Z"}
    assert {one["seconds"] for one in found["stages"]} == {1.5}
    assert sorted(unit for one in found["stages"] for unit in one["units"]) == sorted(before)
    shown = finished.run(command="plan").stdout
    assert shown.count("reused, measured on 2026-01-31 12:00 UTC") == len(STAGES)
    assert "a run repeats no measurement" in shown
    finished.run()
    assert finished.worked() == before


def test_a_plan_changes_nothing_in_the_home(finished: Secateur) -> None:
    files = {path: path.stat().st_mtime_ns for path in finished.home.rglob("*")}
    finished.write(**TWO_SHARDS, seed=7)
    plan(finished)
    assert {path: path.stat().st_mtime_ns for path in finished.home.rglob("*")} == files


def test_a_changed_spec_leaves_what_reads_it(finished: Secateur) -> None:
    before = finished.worked()
    finished.write(**TWO_SHARDS, constraints=[{"metric": "speedup", "min": "9x"}])
    assert states(plan(finished)) == [(name, "reused") for name in STAGES[:-1]] + [("report", "toDo")]
    finished.run()
    assert [unit.split("-")[0] for unit in finished.worked()[len(before) :]] == ["report"]


def test_behind_a_round_that_is_to_be_done_nothing_is_claimed(finished: Secateur) -> None:
    pruning = document()["spec"]["pruning"]
    pruning["schedule"]["step"] = 0.1
    finished.write(**TWO_SHARDS, pruning=pruning)
    found = plan(finished)
    assert states(found)[:4] == [(name, "reused") for name in STAGES[:3]] + [("round", "toDo")]
    assert [state for _, state in states(found)[4:]] == ["open"] * 4
    assert found["stages"][4]["note"] == "at most 4 more"


def test_a_damaged_unit_is_not_called_reused(finished: Secateur) -> None:
    before = finished.worked()
    hit, at = next(unit for unit in before if unit.startswith("preflight-")), STAGES.index("preflight")
    file = next(finished.home.glob(f"store/units/{hit}/*/*"))
    for how, hurt in damage.KINDS.items():
        whole = file.read_bytes()
        hurt(file)
        found = plan(finished)
        expected = [(name, "reused") for name in STAGES[:at]] + [("preflight", "toDo")]
        assert states(found)[: at + 1] == expected, how
        assert {state for _, state in states(found)[at + 1 :]} == {"open"}, how
        assert hit in found["stages"][at]["note"], how
        file.write_bytes(whole)
    damage.cut_short(file)
    finished.run()
    assert finished.worked()[len(before)] == hit


def test_of_a_stage_with_a_part_left_it_says_so(finished: Secateur) -> None:
    unit = next(unit for unit in finished.worked() if unit.startswith("sensitivity-"))
    damage.delete(finished.home / "store" / "units" / unit / "result.json")
    found = plan(finished)["stages"][2]
    assert (found["state"], found["note"]) == ("toDo", "1 of its 2 parts are in the store")
    assert unit not in found["units"]


def test_a_failed_run_is_planned_from_what_it_left(secateur: Secateur) -> None:
    secateur.run(fail={"convert": [64, "ToolchainMissing", "no Paddle Lite here"]})
    assert states(plan(secateur))[-3:] == [("convert", "toDo"), ("benchmark", "open"), ("report", "open")]


def test_a_damaged_result_that_an_interrupted_run_has_behind_it_is_named(secateur: Secateur) -> None:
    process = secateur.start(seconds=2)
    wait_for(lambda: any(unit.startswith("preflight-") for unit in secateur.worked()))
    wait_for(lambda: list(secateur.home.glob("jobs/digits/children/*sensitivity*/0.log")))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert states(plan(secateur))[:3] == [
        ("pretrain", "reused"),
        ("preflight", "reused"),
        ("sensitivity", "toDo"),
    ]
    hit = secateur.worked()[0]
    damage.cut_short(next(secateur.home.glob(f"store/units/{hit}/*/*")))
    first = plan(secateur)["stages"][0]
    assert (first["name"], first["state"]) == ("pretrain", "open")
    assert hit in first["note"]
    assert "made again if a later stage reads it" in first["note"]


def test_fresh_and_suspended_are_said(finished: Secateur) -> None:
    assert states(plan(finished, "--fresh"))[0] == ("pretrain", "toDo")
    finished.write(**TWO_SHARDS, suspend=True)
    assert "a run does nothing until it is false" in finished.run(command="plan").stdout


def test_a_file_that_is_wrong_is_refused_in_a_sentence(secateur: Secateur) -> None:
    secateur.write(seed="x")
    said = secateur.run(command="plan")
    assert (said.returncode, said.stdout) == (2, "")
    assert "spec.seed" in said.stderr
    assert said.stderr.count("\n") == 1


@pytest.mark.paddle
def test_a_stage_that_cannot_name_its_result_says_why(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(document()))
    words = [
        sys.executable,
        "-m",
        "secateur_operator.cli",
        "plan",
        str(file),
        "--home",
        str(tmp_path / "home"),
    ]
    said = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("pretrain: ")
    assert "spec.model.factory: there is no module 'some'" in said.stderr
    assert said.stderr.count("\n") == 1
    assert not (tmp_path / "home").exists()
