"""The example with a user's own network, data, metric and criterion, as a whole job."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.job import ROOT, job, run

pytestmark = [pytest.mark.paddle, pytest.mark.lite, pytest.mark.slow]


def test_it_succeeds_with_everything_measured(tmp_path: Path) -> None:
    document = job("examples/own-code/job.yaml")
    status = run(document, tmp_path, "--code", str(ROOT / "examples" / "own-code"))["status"]
    assert status["phase"] == "Succeeded", status["message"]
    assert [c["metric"] for c in status["constraints"]] == ["targetMacs", "accuracyDrop", "params"]
    for judged in status["constraints"]:
        assert judged["holds"]
        assert judged["value"] is not None
    assert status["rounds"][-1]["outcome"]["cutMacs"] >= 0.3
    assert {a["kind"] for a in status["artifacts"]} == {"model", "checkpoint", "manifest", "report", "card"}
