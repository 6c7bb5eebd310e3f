"""Fixtures: see tests.cluster_kit."""

from tests.cluster_kit.fixtures import (  # noqa: F401
    cluster,
    cluster_parts,
    logs_are_clean,
    open_site,
    pytest_runtest_makereport,
)
