"""A small job on S3 whose server is away for a while in each stage: it goes on, with the same bytes.

``python -m tests.bench.outages --seconds 60 --home FOLDER``; needs versitygw on PATH.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from secateur_api.code_digest import code_sha256
from secateur_api.stage import RoundRequest, Stage, StageSummary, Upstream
from tests.integration.real import CODE, SPEC, with_changes
from tests.jobs.stages import Ended, run, stage_input
from tests.s3_server import S3Server

_BYTES_EQUAL = ("safetensors", "onnx", "groups.json", "plan.json")


class Chain:
    """The stages of one job, one after the other, on one store."""

    def __init__(self, store: str, scratch: Path, environment: Mapping[str, str]) -> None:
        self.store, self.scratch, self.environment = store, scratch, environment
        self.code = {"uri": str(CODE), "sha256": code_sha256(CODE)}
        self.spec: dict[str, Any] = {**with_changes(SPEC, {"benchmark": [{"format": "onnx", "runs": 200}]})}
        self.upstream = Upstream()

    def stage(self, stage: Stage) -> StageSummary:
        """Run one stage as often as a control plane would."""
        ended = self._run(stage)
        tries = 1
        while ended.code == 75 and tries < 4:
            ended, tries = self._run(stage), tries + 1
        if ended.code:
            raise SystemExit(f"{stage.value}: {ended.said.message}\n{ended.stderr}")
        self.upstream = self.upstream.model_copy(update=_found(stage, str(ended.said.unit)))
        return ended.said

    def _run(self, stage: Stage) -> Ended:
        more = {"round": RoundRequest(number=1, share=1.0)} if stage is Stage.ROUND else {}
        request = stage_input(
            stage, {**self.spec, "code": self.code}, self.store, upstream=self.upstream, **more
        )
        return run(stage.value, request, self.scratch, limit=900, **self.environment)


def _found(stage: Stage, unit: str) -> dict[str, Any]:
    if stage is Stage.ROUND:
        return {"rounds": [unit], "model": unit}
    is_list = stage in (Stage.SENSITIVITY, Stage.BENCHMARK)
    return {} if stage is Stage.REPORT else {stage.value: [unit] if is_list else unit}


def contents(folder: Path) -> dict[str, bytes]:
    """Return what must be equal, by path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.glob("units/*/*/*")
        if path.name.endswith(_BYTES_EQUAL)
    }


def with_outages(server: S3Server, scratch: Path, seconds: float) -> None:
    """Run the job; soon after each stage has begun, the server is away for so long."""
    chain = Chain(server.uri, scratch, server.environment)
    for number, stage in enumerate(Stage):
        server.stop() if number % 2 else None  # away from the start, or while the stage is at work
        back = threading.Thread(target=_away, args=(server, seconds, 0.0 if number % 2 else 2.0))
        back.start()
        begin = time.monotonic()
        said = chain.stage(stage)
        back.join()
        print(f"{stage.value}: done in {time.monotonic() - begin:.0f} s, {said.unit}", flush=True)


def _away(server: S3Server, seconds: float, after: float) -> None:
    time.sleep(after)
    server.stop()
    time.sleep(seconds)
    server.start()


def main() -> None:
    """Run it undisturbed on a folder and disturbed on S3, and compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--home", type=Path, required=True)
    options = parser.parse_args()
    home = options.home.absolute()
    (home / "scratch").mkdir(parents=True)
    server = S3Server(home / "s3")
    server.start()
    try:
        with_outages(server, home / "scratch", options.seconds)
    finally:
        server.stop()
    chain = Chain((home / "store").as_uri(), home / "scratch", os.environ)
    for stage in Stage:
        chain.stage(stage)
    same = contents(home / "store") == contents(home / "s3" / server.s3.bucket / "store")
    print("the same bytes" if same else "OTHER BYTES")


if __name__ == "__main__":
    main()
