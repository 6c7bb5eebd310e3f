"""The manifests, as they are read in a review; what they mean is asserted where it matters."""

from __future__ import annotations

import json

import pytest

from secateur_api import StageInput
from tests.unit.manifests.cases import CASES, FOLDER, snapshot


@pytest.mark.parametrize("name", CASES)
def test_a_manifest_is_what_was_reviewed(name: str) -> None:
    said = (FOLDER / f"{name}.yaml").read_text()
    assert snapshot(CASES[name]) == said, "if it shall change: python -m tests.unit.manifests.cases"


def test_each_snapshot_belongs_to_a_case() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_stage_is_told_its_input(name: str) -> None:
    case = CASES[name]
    (stage,) = case.manifest["spec"]["template"]["spec"]["containers"]
    first = stage["env"][0]
    assert first["name"] == "SECATEUR_INPUT"
    assert StageInput.model_validate(json.loads(first["value"])) == case.job.input
    assert case.manifest["metadata"]["annotations"]["secateur.dev/input-hash"] == case.job.input_hash
