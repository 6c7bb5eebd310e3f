"""The user's modules: which of those that are imported, run from their source, and known by it."""

from __future__ import annotations

import hashlib
import os
import site
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.abc import PathEntryFinder
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from types import CodeType

import secateur_api


def run_from_source() -> None:
    """Compile each of the user's modules from its source, whatever compiled file lies beside it.

    Python takes a compiled file for a source of the same size and the same second, so that a module that was
    exchanged for such a one would run as it was, under the new one's digest.
    """
    find = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (_FromSource, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )

    def users(folder: str) -> PathEntryFinder:
        if not _is_users(Path(folder or os.getcwd())):
            raise ImportError(f"{folder} is not the user's")
        return find(folder)

    sys.path_hooks.insert(0, users)
    sys.path_importer_cache.clear()


class _FromSource(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        content = self.get_data(path)
        _RAN[path] = _digest(content)
        return self.source_to_code(content, path)


_RAN: dict[str, str] = {}
"""Path to the digest of what was run of it, which may have been edited since."""


@dataclass(frozen=True)
class Imported:
    """Where a module came from."""

    file: Path
    """Of a module in an archive the archive."""
    digest: str


def imported(code: Path | None = None) -> dict[str, Imported]:
    """Return the user's modules that are imported, by name.

    What is below ``code`` is left out: it has a digest already.
    """
    found = {}
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name == "__main__" or not isinstance(file, str) or not _is_users(Path(file), code):
            continue
        path = next((path for path in (Path(file), *Path(file).parents) if path.is_file()), None)
        if path is not None:
            found[name] = Imported(path, _RAN.get(str(path)) or _digest(path.read_bytes()))
    return found


def changed(before: Mapping[str, str]) -> str | None:
    """Name a file that is there with another content than ``before``; None where there is none.

    A file that is not there says nothing: on another machine the module may be elsewhere, and those that are
    imported first are known by name (``Sources.modules``).
    """
    for path, known in before.items():
        if Path(path).is_file() and _digest(Path(path).read_bytes()) != known:
            return path
    return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:20]


def _is_users(path: Path, code: Path | None = None) -> bool:
    known = _NOT_THE_USERS if code is None else [*_NOT_THE_USERS, code]
    return not any(path.is_relative_to(folder) for folder in known)


def _installed() -> list[Path]:
    paths = sysconfig.get_paths()
    folders = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages()]
    folders += [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    ours = [Path(secateur_api.__file__).parent, Path(__file__).parents[1]]
    return [*map(Path, folders), *ours]


_NOT_THE_USERS = _installed()
