"""What tests of the command line share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.runs import Secateur


@pytest.fixture(scope="session")
def _once_finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Secateur, Path]:
    folder = tmp_path_factory.mktemp("finished")
    secateur = Secateur(folder / "user", sensitivity={"shards": 2})
    done = secateur.run()
    assert done.returncode == 0, done.stderr
    shutil.copytree(secateur.folder, folder / "kept")
    return secateur, folder / "kept"


@pytest.fixture
def finished(_once_finished: tuple[Secateur, Path]) -> Secateur:
    """A home whose job, of two shards, has succeeded: as the run left it, for each test anew."""
    secateur, kept = _once_finished
    shutil.rmtree(secateur.folder)
    shutil.copytree(kept, secateur.folder)
    return secateur
