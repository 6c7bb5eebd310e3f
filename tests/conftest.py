"""What all tests share: how property tests run, and what is not forgiven where everything must run."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

# a machine that is busy with something else is no reason for a property not to hold
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

REQUIRE = "SECATEUR_REQUIRE"
"""Set to ``all``: a test that is skipped because something is missing here fails instead."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _refused(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _refused(report)


def _refused(report: Any) -> Any:
    if report.skipped and os.environ.get(REQUIRE) == "all":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{REQUIRE}=all: {reason}"
    return report
