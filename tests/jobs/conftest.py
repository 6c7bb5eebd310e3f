"""Tests with the real Paddle Lite are skipped, with the reason, where its interpreter is missing."""

from __future__ import annotations

import pytest

from secateur_api.spec import Backend, Convert, Format
from secateur_jobs.conversion import toolchain
from secateur_jobs.runtime.errors import InvalidInput


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them as skipped."""
    lite = [item for item in items if item.get_closest_marker("lite")]
    if not lite:
        return
    try:
        toolchain.require([Convert(format=Format.PADDLE_LITE, backend=Backend.X86)])
    except InvalidInput as error:
        for item in lite:
            item.add_marker(pytest.mark.skip(reason=error.message))
