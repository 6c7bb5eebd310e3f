"""Make the user's code importable: ``spec.code`` is a folder, a wheel or a zip, verified before use."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from secateur_api.code_digest import code_sha256, newest
from secateur_api.code_names import hiding
from secateur_api.conditions import Reason
from secateur_api.spec import Code
from secateur_api.uri import redacted
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.runtime.files import Files
from secateur_jobs.runtime.unpack import unpacked


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
