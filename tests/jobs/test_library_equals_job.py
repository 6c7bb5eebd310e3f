"""A job's round and the library's calls leave the same bytes where they are asked for the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import secateur
from secateur_api.stage import Stage
from secateur_jobs.data.digits import splits
from secateur_jobs.training.held import hold_back
from secateur_jobs.user_code import Splits
from tests.jobs.test_pruning_stages import PRUNING, Home, spec_of

pytestmark = pytest.mark.paddle
INPUTS = [("image", (1, 1, 16, 16))]
SHARE = 1.0
SEED = 1_000_000
"""A round's seed is the job's, 0, and its share in millionths."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as patch:
        yield Home(tmp_path, patch)


def test_a_round_and_the_library_write_the_same_file(home: Home, tmp_path: Path) -> None:
    spec = spec_of(pruning={**PRUNING, "target": {"macs": "50%"}})
    pretrain = home.unit(Stage.PRETRAIN, spec)
    preflight = home.unit(Stage.PREFLIGHT, spec, upstream={"pretrain": pretrain})
    sensitivity = home.unit(Stage.SENSITIVITY, spec, upstream={"preflight": preflight})
    done = home.unit(
        Stage.ROUND,
        spec,
        upstream={"preflight": preflight, "sensitivity": [sensitivity]},
        round={"number": 1, "share": SHARE},
    )

    uncut = tmp_path / "uncut.safetensors"
    uncut.write_bytes(home.store.unit_file(preflight, "checkpoint"))
    net = secateur.load(uncut)
    parts = hold_back(
        Splits(*splits(**spec["data"]["args"])), 0
    )  # a job chooses by what it does not train on
    train, choosing = parts.train, parts.choosing
    curves = secateur.sensitivity(net, INPUTS, choosing, ratios=[0.25, 0.5, 0.75], calibration=train)
    first, last = PRUNING["protect"].values()
    small, account = secateur.prune(
        net, INPUTS, macs=0.5, data=train, curves=curves, protect=(first, last), align=2, seed=SEED
    )
    recovery = secateur.fine_tune(
        small, INPUTS, train, choosing, teacher=net, epochs=1, fraction=0.2, seed=SEED
    )
    path = tmp_path / "small.safetensors"
    model = spec["model"]
    secateur.save(small, path, INPUTS, factory=model["factory"], args=model["args"])

    assert account.cut_macs >= 0.5
    assert len(recovery.metrics) == 1
    assert path.read_bytes() == home.store.unit_file(done, "checkpoint")
