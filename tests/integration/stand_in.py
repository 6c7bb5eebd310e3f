"""A small real program that keeps the stage contract, for tests of processes: quick, and without Paddle.

It writes one line per piece of work done to ``worked`` beside the store. ``STAND_IN`` (JSON) steers it:
``seconds`` of work per stage; ``fail``: stage to [exit code, reason, message]; ``child``: stages that start a
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
from secateur_api.stage import INPUT_VARIABLE, PROGRESS_PREFIX, SHARD_VARIABLE, TERMINATION_VARIABLE, Progress
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
    store = Path(request.store.removeprefix("file://"))
    unit = unit_name(request)
    result = store / "units" / unit / "result.json"
    if result.exists():
        found = StageResult.model_validate_json(result.read_text()).summary
        return 0, found.model_copy(update={"reused": True})
    for done in range(4):
        line = Progress(percent=25 * done, step=f"part {done}/4", metric=0.9, at=time.time())
        print(PROGRESS_PREFIX + line.model_dump_json(by_alias=True), flush=True)
        time.sleep(float(steer.get("seconds", 0)) / 4)
    if request.stage.value in steer.get("fail", {}):
        code, reason, message = steer["fail"][request.stage.value]
        print("the last useful line", flush=True)
        return code, StageSummary(stage=request.stage, ok=False, reason=reason, message=message)
    summary = outcomes.summary(request)
    result.parent.mkdir(parents=True, exist_ok=True)
    for one in summary.outcome.convert.artifacts if summary.outcome.convert else []:
        (store / one.path).write_text("a model")
    for name in ("checkpoint.safetensors", "manifest.json", "report.html", "card.md"):
        (result.parent / name).write_text("content")
    partial = result.with_suffix(".partial")
    partial.write_text(StageResult(summary=summary).model_dump_json(by_alias=True))
    partial.replace(result)
    with (store.parent / "worked").open("a") as file:
        file.write(f"{unit}\n")
    return 0, summary


if __name__ == "__main__":
    sys.exit(main())
