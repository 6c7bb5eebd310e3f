"""The digest of user code: what ``spec.code.sha256`` is compared with, on both sides of the contract."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

_CACHES = {"__pycache__", "CVS"}
_COMPILED = (".pyc", ".pyo")
_PART_BYTES = 2**20


def code_sha256(path: Path) -> str:
    """Return the SHA-256, in hex, of a wheel or zip (its bytes), or of a folder's files.

    Of a folder counts every file, whatever its kind: code may read a table or load a library. Left out are
    hidden files and folders, caches (``__pycache__``) and homes of Secateur. Files are sorted by relative
    POSIX path; each adds its path, its length and its content, so that moving bytes between files changes
    the digest. Links are followed.

    Raises OSError if something cannot be read.
    """
    digest = hashlib.sha256()
    if not path.is_dir():
        digest.update(path.read_bytes())
        return digest.hexdigest()
    for name, file in sorted((f.relative_to(path).as_posix(), f) for f in _files(path)):
        digest.update(f"{name}\0{file.stat().st_size}\0".encode(errors="surrogateescape"))
        with file.open("rb") as stream:
            while part := stream.read(_PART_BYTES):
                digest.update(part)
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        here = Path(folder)
        status = here.stat()
        key = (status.st_dev, status.st_ino)
        folders[:] = [] if key in seen else [f for f in folders if _counts(f) and not _is_home(here / f)]
        if key in seen:  # a link back to where it is in
            continue
        seen.add(key)
        for name in names:
            file = here / name
            if _counts(name) and not name.endswith(_COMPILED) and file.is_file():
                yield file


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in _CACHES


def _is_home(folder: Path) -> bool:
    """Whether it is where Secateur keeps state and results: what it writes must not change the code."""
    return all((folder / name).exists() for name in ("lock", "store", "jobs"))
