"""The store: committed once, never changed, and nothing is believed that is not what was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from secateur_api.results import Point
from secateur_api.stage import Stage, StageResult, StageSummary
from secateur_jobs.runtime.errors import Damaged, StageError
from secateur_jobs.runtime.store import Found, Store
from tests.commits import commit_once, rounds
from tests.integration.damage import KINDS

UNIT = "pretrain-1"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((tmp_path / "store").as_uri())


def _files(store: Store) -> dict[str, bytes]:
    return {path: store.read(path) for path in store.walk("units")}


def test_whoever_comes_second_takes_what_is_there(store: Store) -> None:
    first = commit_once(store, UNIT, b"one")
    before = {path: content for path, content in _files(store).items() if "result" in path}
    second = commit_once(store, UNIT, b"another content")
    assert second == first
    assert {path: content for path, content in _files(store).items() if "result" in path} == before
    assert store.unit_file(UNIT, "a") == b"onea"


def test_two_processes_that_are_killed_leave_a_whole_unit(tmp_path: Path) -> None:
    found = rounds((tmp_path / "store").as_uri(), 40)
    assert (found.whole, found.broken) == (40, 0)
    assert found.killed > 0


def test_who_commits_while_another_looks_was_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    others: list[StageResult] = []
    look = store.look

    def slow(unit: str, *more: Any) -> Found:
        found = look(unit, *more)
        if not others:
            others.append(commit_once(Store(store.uri), unit, b"other"))
        return found

    monkeypatch.setattr(store, "look", slow)
    assert [commit_once(store, UNIT, b"mine")] == others


def test_a_result_that_contradicts_itself_ends_the_stage(store: Store) -> None:
    summary = StageSummary(stage=Stage.PRETRAIN, unit=UNIT, ok=True)
    with pytest.raises(StageError, match=r"its own result is not believed: .*drop is 2"):
        store.commit(UNIT, StageResult(summary=summary, files={}), lambda _result: "drop is 2")


@pytest.mark.parametrize("how", list(KINDS))
def test_every_damage_is_seen_and_mended_where_it_is(store: Store, tmp_path: Path, how: str) -> None:
    for unit in (UNIT, "pretrain-2"):
        commit_once(store, unit, unit.encode())
    for path in store.walk(f"units/{UNIT}"):
        KINDS[how](tmp_path / "store" / path)
        assert store.look(UNIT).result is None
        assert path in store.look(UNIT).damage or not store.find(path)
        assert store.look("pretrain-2").result is not None
        again = commit_once(store, UNIT, UNIT.encode())
        assert store.look(UNIT).result == again
        assert store.unit_file(UNIT, "b") == f"{UNIT}b".encode()


def test_content_that_differs_when_it_is_made_again_is_committed_beside_what_is_damaged(
    store: Store, tmp_path: Path
) -> None:
    lost = commit_once(store, UNIT, b"one")
    KINDS["cut short"](tmp_path / "store" / lost.files["a"].path)
    with pytest.raises(Damaged, match=r"2 bytes .* expected 4 bytes") as caught:
        store.unit_file(UNIT, "a")
    assert caught.value.unit == UNIT
    again = commit_once(store, UNIT, b"two")
    assert again.files != lost.files
    assert commit_once(store, UNIT, b"three") == again
    assert store.unit_file(UNIT, "a") == b"twoa"


def test_a_number_that_is_changed_by_hand_is_not_believed(store: Store, tmp_path: Path) -> None:
    commit_once(store, UNIT, b"one")
    file = tmp_path / "store" / "units" / UNIT / "result.json"
    document = json.loads(file.read_text())
    document["summary"]["seconds"] += 1
    file.write_text(json.dumps(document))
    assert "not those that were written" in store.look(UNIT).damage


def test_a_unit_that_was_made_from_another_file_is_made_again(store: Store, tmp_path: Path) -> None:
    base = commit_once(store, UNIT, b"one")
    store.unit_file(UNIT, "a")
    summary = StageSummary(stage=Stage.PREFLIGHT, unit="preflight-1", ok=True)
    made = StageResult(summary=summary, read=store.read_by("preflight-1"))
    store.commit("preflight-1", made)
    assert store.look("preflight-1").result == made
    KINDS["deleted"](tmp_path / "store" / base.files["a"].path)
    commit_once(store, UNIT, b"two")
    assert "another one now" in store.look("preflight-1").damage


def test_a_small_file_in_another_place_is_as_good_as_none(store: Store, tmp_path: Path) -> None:
    point = Point(group="conv1", ratio=0.5, metric=0.9, loss=0.1, seconds=1.0)
    store.keep("points/x/conv1@0.5.json", point)
    assert store.kept("points/x/conv1@0.5.json", Point) == point
    content = store.read("points/x/conv1@0.5.json")
    store.write("points/y/conv1@0.5.json", content)
    assert store.kept("points/y/conv1@0.5.json", Point) is None
    store.write("points/x/conv1@0.5.json", content.replace(b"0.9", b"0.8"))
    assert store.kept("points/x/conv1@0.5.json", Point) is None
