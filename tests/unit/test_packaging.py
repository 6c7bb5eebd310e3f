"""Every import is declared: in the base, or in the extra of the package that imports it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[2]
OURS = {"secateur", "secateur_api", "secateur_jobs", "secateur_lite", "secateur_operator"}
EXTRAS = {
    "crds/secateur_api": [],
    "operator/secateur_operator": ["operator"],
    "jobs/secateur_jobs": ["jobs"],
    "jobs/secateur": ["jobs"],
}
WITHOUT_ANY = {
    "operator/secateur_operator/cli.py",
    "operator/secateur_operator/store_cli.py",
    "jobs/secateur/__init__.py",
}
"""Where the wheel alone must do."""


def declared(extras: list[str]) -> set[str]:
    """Return the names of the distributions that are asked for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(r for e in extras for r in project["optional-dependencies"][e])]
    return {normal(re.split(r"[^\w.-]", line)[0]) for line in lines}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(path: Path) -> Iterator[str]:
    """Yield the top-level names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("package", EXTRAS)
def test_every_import_is_declared(package: str) -> None:
    known = importlib.metadata.packages_distributions()
    allowed = declared(EXTRAS[package])
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / package).rglob("*.py")
        for name in set(imported(path)) - OURS - sys.stdlib_module_names
        if not allowed & {normal(found) for found in known.get(name, [name])}
    ]
    assert not wrong


@pytest.mark.parametrize("file", sorted(WITHOUT_ANY))
def test_what_starts_without_extras_imports_none(file: str) -> None:
    """Checked through all that it imports of ours when it is imported."""
    known, allowed = importlib.metadata.packages_distributions(), declared([])
    for path in reached(ROOT / file):
        for name in set(at_import(path)) - OURS - sys.stdlib_module_names:
            assert allowed & {normal(found) for found in known.get(name, [name])}, f"{path} imports {name}"


def at_import(path: Path) -> Iterator[str]:
    yield from (name.partition(".")[0] for name in modules_at_import(path))


def modules_at_import(path: Path) -> Iterator[str]:
    """Yield the modules that are imported when a file is: those of its top level."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reached(start: Path) -> set[Path]:
    """Return the files of ours that importing one imports."""
    found, left = set[Path](), [start]
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            names = [name for name in modules_at_import(path) if name.partition(".")[0] in OURS]
            left += [file for name in names for file in files_of(name)]
    return found


def files_of(module: str) -> Iterator[Path]:
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        for home in ("crds", "operator", "jobs"):
            base = ROOT.joinpath(home, *parts[:end])
            yield from (file for file in (base / "__init__.py", base.with_suffix(".py")) if file.is_file())
