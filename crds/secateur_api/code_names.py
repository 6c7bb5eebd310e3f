"""Names that user code must not have at its top: it stands first on the path and would hide the real ones."""

from __future__ import annotations

import sys
from pathlib import Path

_NEEDED = frozenset(
    {
        *("PIL", "fsspec", "google", "markupsafe", "numpy", "onnx", "onnxruntime", "paddle", "paddle2onnx"),
        *("paddleslim", "pydantic", "pydantic_core", "safetensors", "scipy", "sklearn", "yaml"),
        *("secateur_api", "secateur_jobs", "secateur_lite", "secateur_operator"),
    }
)
"""Packages that a stage imports."""
_SUFFIXES = (".py", ".pyc", ".so")


def hiding(folder: Path) -> str | None:
    """Say which file or package at the top of a folder hides a module that a stage needs, if one does.

    That is a module of Python's own (``statistics.py``) or of a package that Secateur is built on
    (``numpy/__init__.py``). A folder without ``__init__.py`` hides nothing. Raises OSError.
    """
    for path in sorted(folder.iterdir()):
        name = path.name.partition(".")[0]
        if name not in sys.stdlib_module_names and name not in _NEEDED:
            continue
        if path.is_dir():
            if path.name == name and (path / "__init__.py").is_file():
                return _said(f"{name}/", name)
        elif path.suffix in _SUFFIXES:
            return _said(path.name, name)
    return None


def _said(found: str, name: str) -> str:
    whose = "Python's own" if name in sys.stdlib_module_names else "the installed"
    return f"{found} hides {whose} module {name}, which Secateur needs; rename it"
