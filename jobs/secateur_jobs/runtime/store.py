"""The artifact store: any fsspec URI, laid out by unit of work, every write atomic.

Layout: ``units/<unit>/<file>``, committed by ``units/<unit>/result.json`` which is written last;
``points/<key>/<name>.json`` for sensitivity points.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import TypeVar

import fsspec
from pydantic import ValidationError

from secateur_api.base import Contract
from secateur_api.conditions import Reason
from secateur_api.stage import FileRef, StageResult
from secateur_jobs.runtime.errors import InvalidInput, MissingData

C = TypeVar("C", bound=Contract)


class Store:
    """Files by path relative to a root URI (``file:///home/me/.secateur/store``, ``s3://bucket/prefix``)."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        try:
            self._fs, root = fsspec.core.url_to_fs(uri)
        except (ValueError, ImportError) as error:  # an unknown protocol, or its package is not installed
            raise InvalidInput(Reason.INVALID_SPEC, f"the store {uri!r} cannot be used: {error}") from None
        self._root = root.rstrip("/")
        self._is_local = self._fs.protocol == "file" or "file" in self._fs.protocol

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def url_of(self, path: str) -> str:
        """Return the full URI of a file, for a person or another program."""
        return self._fs.unstrip_protocol(self._at(path))

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        return bool(self._fs.exists(self._at(path)))

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises MissingData if it is not there."""
        try:
            return bytes(self._fs.cat_file(self._at(path)))
        except FileNotFoundError:
            raise MissingData(
                Reason.ARTIFACT_CORRUPT, f"{self.url_of(path)} is missing from the store"
            ) from None

    def write(self, path: str, content: bytes) -> None:
        """Write a file so that a reader sees all of it or nothing, also after a crash."""
        target = self._at(path)
        if not self._is_local:
            self._fs.pipe_file(target, content)
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        partial = f"{target}.{uuid.uuid4().hex[:8]}.partial"
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        finally:
            if os.path.exists(partial):
                os.unlink(partial)

    def list(self, folder: str) -> list[str]:
        """Return the sorted paths (relative to the store) of the committed files in a folder."""
        if not self._fs.exists(self._at(folder)):
            return []
        names = [str(name).rsplit("/", 1)[-1] for name in self._fs.ls(self._at(folder), detail=False)]
        return sorted(f"{folder}/{name}" for name in names if not name.endswith(".partial"))

    def put(self, path: str, content: bytes) -> FileRef:
        """Write a file and return its reference."""
        self.write(path, content)
        return FileRef(path=path, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))

    def get(self, ref: FileRef) -> bytes:
        """Return a referenced file's bytes; raises MissingData if it is missing, truncated or altered."""
        content = self.read(ref.path)
        digest = hashlib.sha256(content).hexdigest()
        if digest != ref.sha256:
            raise MissingData(
                Reason.ARTIFACT_CORRUPT,
                f"{self.url_of(ref.path)} has {len(content)} bytes with sha256 {digest[:12]}..., expected "
                f"{ref.bytes} bytes with {ref.sha256[:12]}...; delete its folder and run again",
            )
        return content

    def result(self, unit: str) -> StageResult | None:
        """Return the committed result of a unit, or None; raises MissingData if it is damaged."""
        path = f"units/{unit}/result.json"
        return self._parse(path, self.read(path), StageResult) if self.exists(path) else None

    def unit_file(self, unit: str, name: str) -> bytes:
        """Return a named file of a committed unit, verified; raises MissingData."""
        return self.get(self.unit_ref(unit, name))

    def unit_ref(self, unit: str, name: str) -> FileRef:
        """Return the reference of a named file of a committed unit; raises MissingData."""
        result = self.result(unit)
        if result is None or name not in result.files:
            raise MissingData(Reason.ARTIFACT_CORRUPT, f"unit {unit} has no file {name!r} in {self.uri}")
        return result.files[name]

    def unit_json(self, unit: str, name: str, model: type[C]) -> C:
        """Return a committed unit's JSON file as its contract model; raises MissingData."""
        ref = self.unit_ref(unit, name)
        return self._parse(ref.path, self.get(ref), model)

    def _parse(self, path: str, content: bytes, model: type[C]) -> C:
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise MissingData(
                Reason.ARTIFACT_CORRUPT,
                f"{self.url_of(path)} is damaged ({first['msg']}); delete its folder and run again",
            ) from None

    def fetch(self, ref: FileRef, folder: Path) -> Path:
        """Copy a referenced file, verified, into a local folder and return its path."""
        target = folder / ref.path.rsplit("/", 1)[-1]
        target.write_bytes(self.get(ref))
        return target
