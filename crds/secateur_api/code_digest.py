"""The digest of user code: what ``spec.code.sha256`` is compared with, on both sides of the contract.

And names that user code must not have at its top: it stands first on the path and would hide the real ones.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

APART = "SECATEUR_APART"
"""Variable with files that are no code though they lie beside it, as paths separated by a line break."""
_NO_CODE = re.compile(
    r"\.(git|hg|svn|bzr|jj|dvc)|CVS|__pycache__|.*\.(py[co]|log)|\.cache|\..*_cache|\.(tox|nox|hypothesis|coverage.*)"
    r"|\.secateur|\.(ipynb_checkpoints|idea|vscode|DS_Store)|\..*\.sw[a-p]|\.?#.*|.*~|\.nfs.*|\.fuse_hidden.*"
)
"""Names of caches and logs, and of what version control, editors and file systems keep beside the files."""
_MARKED = ("CACHEDIR.TAG", "pyvenv.cfg")
"""What says of the folder that it is in: a cache, an environment of installed packages."""
_PART_BYTES = 2**20


def code_sha256(path: Path) -> str:
    """Return the SHA-256, in hex, of a wheel or zip (its bytes), or of a folder's files.

    Of a folder counts every file, whatever its kind: code may read a table or load a library. Left out are
    caches, logs (``*.log``), environments of Python, homes of Secateur, what version control or editors keep,
    and what :data:`APART` names: the job's own file, and those that the command's output goes to. Files are
    sorted by relative POSIX path; each adds its path, its length and its content, so that moving bytes
    between files changes the digest. Links are followed.

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


def apart(job: Path) -> str:
    """Return the value of :data:`APART` for a run of the file ``job``: it, and where its output goes."""
    outputs = (Path("/proc/self/fd") / str(number) for number in (1, 2))
    return "\n".join(os.path.realpath(path) for path in (job, *outputs) if path.is_file())


def newest(path: Path) -> str:
    """Name the file of a folder of code that was written last; empty for an archive."""
    files = list(_files(path)) if path.is_dir() else []
    return max(files, key=lambda file: file.stat().st_mtime_ns).relative_to(path).as_posix() if files else ""


def _files(root: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    no_code = os.environ.get(APART, "").split("\n")
    for folder, folders, names in os.walk(root, followlinks=True):
        here = Path(folder)
        found = here.stat()
        key = (found.st_dev, found.st_ino)
        folders[:] = [] if key in seen else [f for f in folders if _counts(f) and not _is_apart(here / f)]
        if key in seen:  # a link back to where it is in
            continue
        seen.add(key)
        for name in names:
            file = here / name
            if _counts(name) and file.is_file() and os.path.realpath(file) not in no_code:
                yield file


def _counts(name: str) -> bool:
    return _NO_CODE.fullmatch(name) is None


def _is_apart(folder: Path) -> bool:
    """Whether it is a cache, an environment, or where Secateur keeps state and results, by what is in it."""
    if any((folder / name).exists() for name in _MARKED):
        return True
    return all((folder / name).exists() for name in ("lock", "store", "jobs"))


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
