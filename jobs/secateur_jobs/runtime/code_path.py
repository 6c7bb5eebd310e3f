"""Make the user's code importable: ``spec.code`` is a folder, a wheel or a zip, verified before use.

An archive is unpacked within bounds: one of some kB may hold gigabytes.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import zipfile
import zlib
from pathlib import Path
from typing import IO

from secateur_api.code_digest import code_sha256, hiding, newest
from secateur_api.conditions import Reason
from secateur_api.spec import Code
from secateur_api.uri import redacted
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.runtime.files import Files

MAX_BYTES = 1 << 30
"""Most bytes that user code may have, unpacked."""
MAX_FILES = 20_000
_CHUNK = 1 << 20


def unpacked(archive: Path, folder: Path, uri: str) -> Path:
    """Unpack into ``folder`` and return it; ``uri`` is what the archive is called in messages.

    Raises InvalidInput(CODE_NOT_FOUND) if it is no wheel or zip, damaged, encrypted, has a file that would
    lie outside the folder, more than :data:`MAX_FILES`, or more than :data:`MAX_BYTES`, whatever it declares.
    """
    where = f"spec.code.uri: {redacted(uri)}"
    try:
        with zipfile.ZipFile(archive) as file:
            _check(file.infolist(), folder, where)
            left = MAX_BYTES
            for info in file.infolist():
                left -= _extract(file, info, folder, left, where)
    except zipfile.BadZipFile as error:
        raise _refused(f"{where} is no wheel or zip: {error}") from None
    except (zlib.error, EOFError, NotImplementedError, RuntimeError) as error:  # damaged, encrypted
        raise _refused(f"{where} cannot be unpacked: {error}") from None
    return folder


def _check(infos: list[zipfile.ZipInfo], folder: Path, where: str) -> None:
    if len(infos) > MAX_FILES:
        raise _refused(f"{where} holds {len(infos)} files; code may have {MAX_FILES}")
    total = sum(info.file_size for info in infos)
    if total > MAX_BYTES:
        raise _refused(_too_large(where, f"{total / 2**30:.1f} GiB"))
    root = folder.resolve()
    for info in infos:
        if not (root / info.filename).resolve().is_relative_to(root):
            raise _refused(f"{where}: {info.filename!r} would lie outside the code's folder; pack it again")


def _extract(file: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path, left: int, where: str) -> int:
    """Write one file; return its real size, which its header may lie about."""
    target = folder / info.filename
    if info.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with file.open(info) as source, target.open("wb") as out:
        shutil.copyfileobj(_Bounded(source, left, where), out, _CHUNK)
        return out.tell()


class _Bounded:
    """A file that refuses to give more than so many bytes."""

    def __init__(self, source: IO[bytes], left: int, where: str) -> None:
        self._source, self._left, self._where = source, left, where

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes."""
        content = self._source.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise _refused(_too_large(self._where, "more"))
        return content


def _too_large(where: str, size: str) -> str:
    return f"{where} holds {size} unpacked; code may have {MAX_BYTES >> 30} GiB: give data by spec.data.args"


def _refused(message: str) -> InvalidInput:
    return InvalidInput(Reason.CODE_NOT_FOUND, message)


def make_importable(code: Code, scratch: Path) -> Path:
    """Verify the code and put its folder first on ``sys.path``; return the folder.

    A wheel or zip is unpacked below ``scratch``, so that files beside the modules are found as well.

    Raises MissingData(CODE_NOT_FOUND) if there is nothing at ``code.uri``; InvalidInput(CODE_NOT_FOUND) if
    its digest is another one, it is no wheel or zip, is too large, or hides a module that Secateur needs.
    """
    source = _local(code.uri, scratch)
    digest = code_sha256(source)
    if digest != code.sha256:
        raise InvalidInput(
            Reason.CODE_NOT_FOUND,
            f"spec.code.sha256: {redacted(code.uri)} has {digest}, expected {code.sha256}; it is "
            f"another one, or has changed since the job began{_last_change(source)}",
        )
    folder = source if source.is_dir() else unpacked(source, scratch / "code", code.uri)
    hides = hiding(folder)
    if hides is not None:
        raise InvalidInput(Reason.CODE_NOT_FOUND, f"spec.code.uri: {redacted(code.uri)}: {hides}")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    return folder


def _last_change(source: Path) -> str:
    name = newest(source)
    return f" ({name} was written last; what a run writes belongs elsewhere)" if name else ""


def _local(uri: str, scratch: Path) -> Path:
    """Return a local path of what the URI names; a remote file is copied."""
    files = Files(uri, Reason.CODE_NOT_FOUND, "spec.code.uri: ")
    if files.is_local:
        path = Path(files.local_path())
        if not os.path.exists(path):  # pathlib raises for a name that is too long
            raise MissingData(Reason.CODE_NOT_FOUND, f"spec.code.uri: there is nothing at {uri}")
        return path
    target = scratch / "code-archive"
    target.write_bytes(files.read())
    return target
