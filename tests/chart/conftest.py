"""Fixtures of the chart's tests."""

from __future__ import annotations

import pytest

from tests.api.conftest import server as server
from tests.chart.chart import NoHelm, helm
from tests.cluster_kit.fixtures import cluster as cluster
from tests.cluster_kit.fixtures import open_site as open_site
from tests.cluster_kit.fixtures import pytest_runtest_makereport as pytest_runtest_makereport


@pytest.fixture(scope="session", autouse=True)
def _helm() -> None:
    """Without Helm these tests are skipped, and say so."""
    try:
        helm("version")
    except NoHelm as missing:
        pytest.skip(str(missing))
