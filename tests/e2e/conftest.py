"""Fixtures: see tests.cluster_kit."""

from tests.cluster_kit.fixtures import (  # noqa: F401
    cluster,
    logs_are_clean,
    open_site,
    pytest_runtest_makereport,
    s3,
)
