"""What of a finished home is believed: each file damaged in each way, each derived number changed by hand."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secateur_api.spec import PruningJobSpec
from secateur_api.stage import RoundRequest, Stage, StageInput, StageResult, Upstream
from secateur_jobs.runtime.consistency import contradiction
from secateur_jobs.runtime.files import sealed
from secateur_jobs.runtime.store import Found, Store
from tests.integration import damage
from tests.integration.real import User, ended

pytestmark = [pytest.mark.paddle, pytest.mark.slow, pytest.mark.timeout(600)]


class Home:
    """A home in which a real job has succeeded."""

    def __init__(self, folder: Path) -> None:
        user = User(folder, folder / "home")
        one_round = {"pruning.schedule": {"rounds": 1, "step": 1.0, "floor": "50%"}}
        file = user.write(
            "tiny", {"quantize": {}, "benchmark": [{"format": "onnx", "runs": 200}], **one_round}
        )
        done = ended(user.start(file), 400)
        assert done.code == 0, done.err
        self.store = Store((user.home / "store").as_uri())
        self.root = user.home / "store"
        self.status = done.status
        self.units = {one["name"]: one["units"][0] for one in done.status["stages"]}

    def look(self, stage: Stage) -> Found:
        """Look at a stage's unit as the next run would."""
        check = functools.partial(contradiction, self.store, self._request(stage))
        return self.store.look(self.units[stage.value], check)

    def _request(self, stage: Stage) -> StageInput:
        """Return what the stage was asked, as far as its outcome follows from it."""
        units = self.units
        upstream = Upstream(
            preflight=units["preflight"],
            model=units["round"],
            convert=units["convert"],
            quantize=units["quantize"],
        )
        share = self.status["rounds"][0]["outcome"]["share"]
        round_ = RoundRequest(number=1, share=share) if stage is Stage.ROUND else None
        spec = PruningJobSpec.model_validate(self.status["resolvedSpec"])
        return StageInput(
            job="tiny", stage=stage, spec=spec, store=self.store.uri, upstream=upstream, round=round_
        )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("believed"))


@pytest.mark.parametrize("stage", list(Stage))
def test_every_file_damaged_in_every_way_is_seen(home: Home, stage: Stage) -> None:
    files = [home.root / path for path in home.store.walk(f"units/{home.units[stage.value]}")]
    assert len(files) >= 2
    for file in files:
        content = file.read_bytes()
        for how, kind in damage.KINDS.items():
            kind(file)
            assert home.look(stage).result is None, f"{file} {how}"
            file.write_bytes(content)
        assert home.look(stage).result is not None


def _changed(path: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], None]:
    *parents, last = (int(part) if part.isdecimal() else part for part in path.split("."))

    def apply(outcome: dict[str, Any]) -> None:
        at: Any = outcome
        for part in parents:
            at = at[part]
        at[last] = change(at[last])

    return apply


@pytest.mark.parametrize(
    "path",
    [
        "preflight.checkpointBytes",
        "round.drop",
        "round.share",
        "round.cutMacs",
        "round.cutParams",
        "round.cutSize",
        "round.metricRecovered",
        "round.checkpointBytes",
        "round.checkpoint.bytes",
        "convert.artifacts.0.bytes",
        "convert.manifest.bytes",
        "quantize.artifacts.0.bytes",
        "quantize.artifacts.0.precision.bits8",
        "benchmark.benchmarks.0.runs",
        "benchmark.benchmarks.0.drop",
        "benchmark.benchmarks.0.speedup",
        "benchmark.benchmarks.0.pruned.bytes",
        "benchmark.benchmarks.0.pruned.p50Seconds",
        "benchmark.benchmarks.0.baseline.p90Seconds",
        "report.html.bytes",
    ],
)
def test_a_number_that_does_not_follow_from_the_others_is_not_believed(home: Home, path: str) -> None:
    stage = Stage(path.partition(".")[0])
    unit = home.units[stage.value]
    file = home.root / "units" / unit / "result.json"
    content = file.read_bytes()
    result = json.loads(content)
    result.pop("seal")
    _changed(path, lambda value: value * 0.9 if isinstance(value, float) else value - 1)(
        result["summary"]["outcome"]
    )
    file.write_bytes(sealed(unit, StageResult.model_validate(result)))  # by one who knows how
    found = home.look(stage)
    file.write_bytes(content)
    assert found.result is None
    assert "follows" in found.damage or "another size or sha256" in found.damage
