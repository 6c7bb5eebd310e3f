"""As many PruningJobs of a namespace run as may; the others begin in the order of their creation."""

from __future__ import annotations

from typing import Any

from secateur_operator.gateway.kube.owners import Room
from secateur_operator.gateway.protocol import Key

SUCCEEDED = {"phase": "Succeeded", "observedGeneration": 1}
RUNS = {"phase": "Running", "stage": {"job": "one"}}


def body(name: str, status: dict[str, Any] | None = None, at: str = "", **spec: Any) -> dict[str, Any]:
    meta = {"namespace": "team", "name": name, "generation": 1, "creationTimestamp": at}
    return {"metadata": meta, "spec": spec, "status": status or {}}


def key(name: str) -> Key:
    return Key("team", name)


def crowd(most: int, *names: str) -> Room:
    room = Room(most)
    for number, name in enumerate(names):
        room.heard(body(name, at=f"2026-01-01T00:00:0{number}Z"))
    return room


def test_without_a_limit_all_begin() -> None:
    room = crowd(0, "a", "b", "c")
    assert [room.full(key(name)) for name in "abc"] == ["", "", ""]


def test_the_oldest_begin_whoever_asks_first() -> None:
    room = crowd(2, "a", "b", "c")
    assert "2 PruningJobs of namespace team run" in room.full(key("c"))
    assert (room.full(key("b")), room.full(key("a"))) == ("", "")
    assert room.full(key("c")) != ""


def test_a_place_is_kept_until_the_status_says_so() -> None:
    room = crowd(1, "b", "c")
    assert room.full(key("b")) == ""
    room.heard(body("a", at="2025-01-01T00:00:00Z"))  # older, but the place is given away
    assert room.full(key("a")) != ""
    assert room.full(key("b")) == ""


def test_an_end_wakes_the_next() -> None:
    room = crowd(1, "a", "b", "c")
    assert room.full(key("a")) == ""
    assert room.heard(body("a", RUNS)) is None
    assert room.full(key("b")) != ""
    assert room.heard(body("a", SUCCEEDED)) == key("b")
    assert room.full(key("b")) == ""
    assert room.full(key("c")) != ""


def test_who_is_suspended_or_gone_takes_no_place() -> None:
    room = crowd(1, "a", "b", "c")
    room.full(key("a"))
    assert room.heard(body("a", RUNS, suspend=True)) == key("b")
    assert room.full(key("b")) == ""
    assert room.heard(body("b", RUNS), gone=True) == key("c")
    assert room.full(key("c")) == ""


def test_each_namespace_has_room_of_its_own() -> None:
    room = crowd(1, "a")
    other = body("a")
    other["metadata"]["namespace"] = "other"
    room.heard(other)
    assert (room.full(key("a")), room.full(Key("other", "a"))) == ("", "")


def test_what_runs_when_the_operator_starts_counts() -> None:
    room = Room(1)
    room.heard(body("b", at="1"))
    room.heard(body("a", RUNS, at="2"))
    assert room.full(key("a")) == ""
    assert room.full(key("b")) != ""
