"""The digest of user code: what ``spec.code.sha256`` is compared with, on both sides of the contract."""

from __future__ import annotations

import hashlib
from pathlib import Path


def code_sha256(path: Path) -> str:
    """Return the SHA-256, in hex, of a wheel or zip (its bytes), or of a folder's Python files.

    Of a folder count the ``*.py`` files outside hidden folders, sorted by relative POSIX path; each adds its
    path, its length and its content, so that moving bytes between files changes the digest.

    Raises OSError if something cannot be read.
    """
    digest = hashlib.sha256()
    if not path.is_dir():
        digest.update(path.read_bytes())
        return digest.hexdigest()
    for name, file in sorted((f.relative_to(path).as_posix(), f) for f in path.rglob("*.py")):
        if file.is_dir() or any(part.startswith(".") for part in name.split("/")):
            continue
        content = file.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
