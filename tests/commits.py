"""Processes that commit the same unit at the same time, each with a content of its own, and are killed."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass

from secateur_api.stage import Stage, StageResult, StageSummary
from secateur_jobs.runtime.store import Store


def commit_once(store: Store, unit: str, content: bytes) -> StageResult:
    """Do what a stage does at its end."""
    files = {name: store.put(unit, f"{name}.bin", content + name.encode()) for name in ("a", "b")}
    summary = StageSummary(stage=Stage.PRETRAIN, unit=unit, ok=True, seconds=len(content))
    return store.commit(unit, StageResult(summary=summary, files=files))


@dataclass
class Tally:
    """How rounds ended."""

    whole: int = 0
    killed: int = 0
    broken: int = 0


def rounds(uri: str, count: int, seed: int = 0, processes: int = 2) -> Tally:
    """Let ``processes`` commit one unit, ``count`` times; some are killed, at random moments."""
    dice, found = random.Random(seed), Tally()
    begin = time.monotonic()
    os.waitpid(_child(uri, "pretrain-first", os.urandom(50_000)), 0)
    longest = time.monotonic() - begin  # of one child here: kills fall within it
    for number in range(count):
        unit = f"pretrain-{number}"
        children = [_child(uri, unit, os.urandom(50_000)) for _ in range(processes)]
        for pid in children:
            if dice.random() < 0.5:
                time.sleep(dice.random() * longest / 2)
                os.kill(pid, signal.SIGKILL)
        ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        found.killed += ends.count(-signal.SIGKILL)
        store = Store(uri)
        first = commit_once(store, unit, b"whoever is left")
        ok = store.look(unit).result == first and set(ends) <= {0, -signal.SIGKILL}
        found.whole += ok
        found.broken += not ok
    return found


def _child(uri: str, unit: str, content: bytes) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        store = Store(uri)
        result = commit_once(store, unit, content)
        os._exit(0 if store.look(unit).result == result else 3)
    except BaseException:  # noqa: BLE001
        os._exit(4)
