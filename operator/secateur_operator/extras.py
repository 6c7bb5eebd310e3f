"""What commands need beyond the wheel's own dependencies, and the command that brings it."""

from __future__ import annotations

import importlib.util

_MODULES = {
    "jobs": ("paddle", "numpy", "fsspec", "safetensors", "scipy", "onnx", "onnxruntime", "paddle2onnx"),
    "operator": ("kopf", "kubernetes", "aiohttp", "prometheus_client"),
}
"""Some modules of each extra; any that is not there says that the extra is not installed."""


def missing(extra: str, command: str) -> str | None:
    """Say what ``command`` lacks of an extra, and what brings it; None if all is there."""
    for name in _MODULES[extra]:
        if importlib.util.find_spec(name) is None:
            return f"{command} needs {name}, which is not installed; run: pip install 'secateur[{extra}]'"
    return None
