"""A small real program that keeps the stage contract, for tests of processes: quick, and without Paddle.

It writes one line per piece of work done to ``worked`` beside the store. ``STAND_IN`` (JSON) steers it:
``seconds`` of work per stage; ``fail``: stage to [exit code, reason, message, maybe a damaged
unit]; ``fail_once``: the first time only; ``child``: stages that start a
process of their own, which would run for an hour; ``deaf``: stages that ignore SIGTERM.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from secateur_api import StageInput, StageResult, StageSummary, unit_name
from secateur_api.stage import (
    INPUT_VARIABLE,
    NO_RESULT,
    PROGRESS_PREFIX,
    RECALL_VARIABLE,
    SHARD_VARIABLE,
    TERMINATION_VARIABLE,
    TO_DO,
    Progress,
)
from secateur_jobs.runtime.store import Store
from tests import outcomes


def main() -> int:
    steer = json.loads(os.environ.get("STAND_IN", "{}"))
    request = StageInput.model_validate_json(os.environ[INPUT_VARIABLE])
    request = request.model_copy(update={"shard": int(os.environ[SHARD_VARIABLE])})
    stage = request.stage.value
    if stage in steer.get("deaf", []):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if stage in steer.get("child", []):
        subprocess.Popen(["sleep", "3600"])
        subprocess.Popen(["sleep", "3601"], start_new_session=True)
    tempfile.mkdtemp()  # as a stage does; it is not removed where the process is killed
    code, summary = _work(request, steer)
    message = Path(os.environ[TERMINATION_VARIABLE])
    message.write_text(summary.model_dump_json(by_alias=True, exclude_none=True))
    return code


def _work(request: StageInput, steer: dict) -> tuple[int, StageSummary]:
    store, unit = Store(request.store), unit_name(request)
    found = store.look(unit)
    if found.result is not None:
        return 0, found.result.summary.model_copy(update={"reused": True})
    if os.environ.get(RECALL_VARIABLE):
        why = found.damage or f"the store{NO_RESULT}{unit}"
        return 75, StageSummary(stage=request.stage, ok=False, reason="Killed", message=f"{why}{TO_DO}")
    for done in range(4):
        line = Progress(percent=25 * done, step=f"part {done}/4", metric=0.9, at=time.time())
        print(PROGRESS_PREFIX + line.model_dump_json(by_alias=True), flush=True)
        time.sleep(float(steer.get("seconds", 0)) / 4)
    once = Path(request.store.removeprefix("file://")).parent / f"failed-{request.stage.value}"
    fail = steer.get("fail", {}) if once.exists() else {**steer.get("fail", {}), **steer.get("fail_once", {})}
    if request.stage.value in fail:
        code, reason, message, *damaged = fail[request.stage.value]
        print("the last useful line", flush=True)
        if request.stage.value in steer.get("fail_once", {}):
            once.touch()
        return code, StageSummary(
            stage=request.stage, ok=False, reason=reason, message=message, damaged=next(iter(damaged), None)
        )
    summary = outcomes.summary(request)
    files = {name: store.put(unit, name, b"content") for name in outcomes.filenames(summary)}
    summary = store.commit(unit, StageResult(summary=summary, files=files)).summary
    with (Path(request.store.removeprefix("file://")).parent / "worked").open("a") as file:
        file.write(f"{unit}\n")
    return 0, summary.model_copy(update={"message": found.damage})


if __name__ == "__main__":
    sys.exit(main())
