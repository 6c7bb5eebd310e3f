"""Killed or interrupted at any moment, a real job goes on: nothing is done twice, the bytes are the same."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.real import Ended, User, ended

pytestmark = [pytest.mark.paddle, pytest.mark.slow, pytest.mark.timeout(300)]

CHANGES = {
    "sensitivity.shards": 2,
    "sensitivity.ratios": [0.25, 0.5, 0.75],
    "pruning.schedule": {"rounds": 3, "step": 0.2, "floor": "20%"},
}
COMMITTED = ("units/*/result.json", "points/**/*.json")


class File(NamedTuple):
    """A committed file; it is another one if it was written again."""

    inode: int
    written: int


def committed(user: User) -> dict[str, File]:
    """Return every finished stage, round and sensitivity point in the store."""
    store = user.home / "store"
    found = {}
    for path in (path for pattern in COMMITTED for path in store.glob(pattern)):
        stat = path.stat()
        found[str(path.relative_to(store))] = File(stat.st_ino, stat.st_mtime_ns)
    return found


def models(user: User) -> dict[str, bytes]:
    """Return every checkpoint and converted model in the store, by path."""
    store = user.home / "store"
    files = [path for kind in ("safetensors", "onnx") for path in store.glob(f"units/*/*/*.{kind}")]
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[User, Ended]:
    """The job, run to its end in a home of its own."""
    folder = tmp_path_factory.mktemp("undisturbed")
    user = User(folder, folder / "home")
    done = user.run(user.write(changes=CHANGES))
    assert done.code == 0, done.err
    return user, done


def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    undisturbed: tuple[User, Ended], tmp_path: Path
) -> None:
    other, expected = undisturbed
    user = User(tmp_path, tmp_path / "home")
    file = user.write(changes=CHANGES)
    dice = random.Random(7)
    stops: list[int] = []
    before: dict[str, File] = {}
    while True:
        process = user.start(file)
        if _is_at_a_moment_to_stop(process, user, len(before) if stops else -1, dice.random()):
            kill = len(stops) % 3 != 2  # each third time it is Ctrl-C
            process.kill() if kill else process.send_signal(2)
        done, now = ended(process), committed(user)
        assert {name: now.get(name) for name in before} == before, "finished work was done again"
        before = now
        if done.code not in (-9, 130):
            break
        stops.append(done.code)
    assert len(stops) >= 3
    assert done.code == 0, done.err
    assert set(now) - _reports(now) == set(committed(other)) - _reports(committed(other))
    assert models(user) == models(other)
    _same_course(done, expected)


def _is_at_a_moment_to_stop(
    process: subprocess.Popen[str], user: User, committed_before: int, more_seconds: float
) -> bool:
    """Wait until something more was committed, and then up to a second; False if the run ended meanwhile."""
    while process.poll() is None and len(committed(user)) <= committed_before:
        time.sleep(0.02)
    try:
        process.wait(timeout=more_seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _reports(names: dict[str, File]) -> set[str]:
    """A report tells the verdict with its timings, so that its unit is another one in every run."""
    return {name for name in names if name.startswith("units/report-")}


def _same_course(done: Ended, expected: Ended) -> None:
    """The stages and rounds are those of a run that nothing disturbed, each of them once."""
    here, there = done.status, expected.status
    assert here["phase"] == "Succeeded"
    if here["run"] != 1:  # the last stop came when all was done: the same command looks at it once more
        assert here["run"] == 2
        assert all(one["reused"] for one in here["stages"] if one["name"] != "report")
    assert [(one["name"], one["attempt"]) for one in here["stages"]] == [
        (one["name"], one["attempt"]) for one in there["stages"]
    ]
    assert [one["outcome"]["numbers"] for one in here["rounds"]] == [
        one["outcome"]["numbers"] for one in there["rounds"]
    ]
