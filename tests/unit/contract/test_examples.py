"""The examples: each one is a valid PruningJob of a name of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from secateur_operator.document import read_job

_ROOT = Path(__file__).parents[3]
_FILES = [*sorted((_ROOT / "examples").rglob("*.yaml")), *sorted((_ROOT / "tests/bench/jobs").glob("*.yaml"))]


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_it_is_valid(file: Path) -> None:
    read_job(file)


def test_names_differ_so_that_all_can_share_one_home() -> None:
    names = [read_job(file).metadata.name for file in _FILES]
    assert len(names) >= 7
    assert len(set(names)) == len(names)
