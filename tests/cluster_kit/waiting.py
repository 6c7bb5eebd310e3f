"""Wait for a condition, never for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.5


def wait_until(what: str, probe: Callable[[], T | None], seconds: float, seen: Callable[[], object]) -> T:
    """Return the first thing that ``probe`` finds (None and False are nothing).

    Raises AssertionError after ``seconds``: what was waited for, and what ``seen`` returns then.
    """
    limit = time.monotonic() + seconds
    while True:
        found = probe()
        if found is not None and found is not False:
            return found
        if time.monotonic() > limit:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; last seen: {seen()}")
        time.sleep(POLL_SECONDS)
