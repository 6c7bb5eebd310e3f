"""Which versions made a result."""

from __future__ import annotations

import importlib.metadata
import sys

_PACKAGES = ("secateur", "paddlepaddle", "paddleslim", "numpy", "onnx", "onnxruntime", "paddle2onnx")


def toolchain() -> dict[str, str]:
    """Return the installed version of every package that decides the result."""
    found = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
