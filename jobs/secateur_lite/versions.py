"""Which converter and runtime this interpreter has."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

from secateur_lite.wire import Wire


def command(wire: Wire, request: dict[str, Any]) -> None:
    """``versions``: answers ``{"python", "numpy", "paddlelite"}``; fails if paddlelite cannot be imported."""
    import paddlelite.lite  # noqa: F401  (a wheel that is there but cannot be loaded must not pass)

    found = {name: importlib.metadata.version(name) for name in ("numpy", "paddlelite")}
    wire.say({"python": platform.python_version(), **found})
