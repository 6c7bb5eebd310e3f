"""Files at any fsspec URI: whole or not there; a backend that is away is waited for.

Of a JSON file that the store keeps, a seal tells whether it is whole and in its place; of a file that the
spec names, its SHA-256, if it is given.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import mmap
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import fsspec
from pydantic import ValidationError

from secateur_api.base import Contract
from secateur_api.conditions import Reason
from secateur_api.uri import local_path, redacted
from secateur_jobs.runtime.backends import explain
from secateur_jobs.runtime.errors import Absent, InvalidInput, MissingData, Retryable

T = TypeVar("T")
B = TypeVar("B", bytes, memoryview)
PATIENCE_SECONDS = 300.0
"""How long a remote backend is waited for: a short absence costs no work. Then the stage is tried again."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 15.0
_BLOCK = 2**18


@dataclass(frozen=True)
class Entry:
    """A file as a listing shows it."""

    bytes: int
    modified: float
    """Seconds since the epoch; of what does not say it, now."""


class Files:
    """What is below one URI (``file:///home/me/store``, ``s3://bucket/prefix``), or a file at it.

    Every method raises Retryable for what may pass, InvalidInput or MissingData for what the backend refuses;
    messages name the URI without credentials. ``refused`` is the reason of a refusal, ``where`` the field
    that has the URI.
    """

    def __init__(self, uri: str, refused: Reason = Reason.STORE_REFUSED, where: str = "") -> None:
        self.uri = uri
        self._refused, self._where = refused, where
        path = local_path(uri)
        try:
            if path is not None:  # fsspec would take '::' in it for a chain of file systems
                self._fs, root = fsspec.filesystem("file"), os.path.abspath(path)
            else:
                self._fs, root = fsspec.core.url_to_fs(uri)
        except (ValueError, ImportError) as error:  # an unknown protocol, or its package is not installed
            raise InvalidInput(
                refused, f"{where}{redacted(uri)} cannot be used: {redacted(str(error))}"
            ) from None
        self._root = root.rstrip("/")
        self.is_local = "file" in self._fs.protocol

    def local_path(self, path: str = "") -> str:
        """Return where a file is in its own file system."""
        return f"{self._root}/{path}" if path else self._root

    def url_of(self, path: str = "") -> str:
        """Return the full URI of a file, without credentials, for a person."""
        return redacted(self._fs.unstrip_protocol(self.local_path(path)) if path else self.uri)

    def find(self, path: str = "") -> bytes | None:
        """Return a file's bytes; None if it is not there."""
        try:
            return self.read(path)
        except Absent:
            return None

    def read(self, path: str = "") -> bytes:
        """Return a file's bytes; raises Absent if it is not there."""
        return self._do(path, lambda at: bytes(self._fs.cat_file(at)))

    def mapped(self, path: str = "") -> memoryview:
        """Return a file's bytes, a local one's as they lie there; raises Absent if it is not there."""
        return self._do(path, _map) if self.is_local else memoryview(self.read(path))

    def blocks(self, path: str) -> Iterator[bytes]:
        """Yield a file's content piece by piece; raises Absent if it is not there."""
        with self._do(path, lambda at: self._fs.open(at, "rb")) as file:
            while block := self._do(path, lambda _: bytes(file.read(_BLOCK))):
                yield block

    def write(self, path: str, content: bytes) -> None:
        """Write a file so that a reader sees all of it or nothing, also after a crash."""
        if self.is_local:
            with self._partial(path, content) as (partial, target):
                os.replace(partial, target)
        else:
            self._do(path, lambda at: self._fs.pipe_file(at, content))

    def create(self, path: str, content: bytes) -> bool:
        """Write a file in one step if there is none; False if there is one, which then stays as it is."""
        if self.is_local:
            with self._partial(path, content) as (partial, target):
                return _linked(partial, target)
        try:
            self._do(path, lambda at: self._conditional(at, content))
        except FileExistsError:
            return False
        except _NoCondition:  # the window between look and write stays open; content-named files bear that
            if self.find(path) is not None:
                return False
            self.write(path, content)
        return True

    def _conditional(self, at: str, content: bytes) -> None:
        try:
            self._fs.pipe_file(at, content, mode="create")
        except (TypeError, OSError) as error:
            if isinstance(error, TypeError) or error.errno == errno.ENOSYS:
                raise _NoCondition from None
            raise

    def list(self, folder: str) -> list[str]:
        """Return the sorted names of the files and folders in a folder; partial files are left out."""

        def names(at: str) -> list[str]:
            self._fs.invalidate_cache()
            return [str(name).rstrip("/").rsplit("/", 1)[-1] for name in self._fs.ls(at, detail=False)]

        try:
            found = self._do(folder, names)
        except Absent:
            return []
        return sorted(name for name in found if not name.endswith(".partial"))

    def walk(self, folder: str) -> dict[str, Entry]:
        """Return every file below a folder, by its path relative to the root."""

        def entries(at: str) -> dict[str, Entry]:
            self._fs.invalidate_cache()
            found = self._fs.find(at, detail=True)
            start = len(self._root.strip("/")) + 1
            return {
                name.strip("/")[start:]: Entry(int(info["size"] or 0), _modified(info))
                for name, info in found.items()
            }

        try:
            return self._do(folder, entries)
        except Absent:
            return {}

    def remove(self, path: str) -> None:
        """Remove a file; one that is gone already is no fault."""
        with contextlib.suppress(Absent):
            self._do(path, self._fs.rm_file)

    def remove_empty(self, folder: str) -> None:
        """Remove a folder, and those in it, where they are empty; a bucket has none."""
        if self.is_local:
            for at, _, _ in os.walk(self.local_path(folder), topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(at)

    @contextlib.contextmanager
    def _partial(self, path: str, content: bytes) -> Iterator[tuple[str, str]]:
        """Write a file beside its place, for the time of the block."""
        target = self.local_path(path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        partial = f"{target}.{uuid.uuid4().hex[:8]}.partial"
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield partial, target
        finally:
            if os.path.exists(partial):
                os.unlink(partial)

    def _do(self, path: str, call: Callable[[str], T]) -> T:
        """Call the backend; a passing fault of a remote one is waited for."""
        deadline, wait = time.monotonic() + PATIENCE_SECONDS, _FIRST_WAIT
        while True:
            try:
                return call(self.local_path(path))
            except (FileExistsError, _NoCondition):
                raise
            except Exception as error:  # noqa: BLE001  (a backend's client raises what it likes)
                known = explain(error, self.url_of(path), self._refused, self._where, local=self.is_local)
                if self.is_local or not isinstance(known, Retryable) or time.monotonic() > deadline:
                    raise known from None
            print(f"{known.message}; trying again in {wait:.0f} s", file=sys.stderr, flush=True)  # noqa: T201
            time.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)


class _NoCondition(Exception):
    """The backend knows no writing of what is not there only."""


def _map(path: str) -> memoryview:
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:  # of which there is no map
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _linked(partial: str, target: str) -> bool:
    try:
        os.link(partial, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with open(target, "xb") as file, open(partial, "rb") as source:
                file.write(source.read())
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return False
    return True


def _modified(info: Mapping[str, Any]) -> float:
    found = info.get("mtime", info.get("LastModified", info.get("updated")))
    if isinstance(found, datetime):
        return found.timestamp()
    return float(found) if isinstance(found, int | float) else time.time()


def read_named(uri: str, sha256: str | None, field: str, missing: Reason, invalid: Reason) -> bytes:
    """Return a file's content.

    ``field`` is where the spec has ``uri`` and ``sha256``, for messages. Raises MissingData(``missing``) if
    the file is not there; InvalidInput(``invalid``) for a URI that cannot be opened, or another sha256;
    Retryable while what it leads to is away.
    """
    return _named(Files.read, uri, sha256, field, missing, invalid)


def map_named(uri: str, sha256: str | None, field: str, missing: Reason, invalid: Reason) -> memoryview:
    """Return the same as it lies on this machine, where it does: it may be larger than the memory."""
    return _named(Files.mapped, uri, sha256, field, missing, invalid)


def _named(
    read: Callable[[Files], B], uri: str, sha256: str | None, field: str, missing: Reason, invalid: Reason
) -> B:
    try:
        content = read(Files(uri, invalid, f"{field}.uri: "))
    except Absent:
        raise MissingData(missing, f"{field}.uri: there is no file {redacted(uri)}") from None
    if sha256 is not None and (digest := hashlib.sha256(content).hexdigest()) != sha256:
        raise InvalidInput(
            invalid,
            f"{field}.sha256: {redacted(uri)} has {digest}, expected {sha256}; another file, or cut short",
        )
    return content


C = TypeVar("C", bound=Contract)
_SEAL = "seal"


class Broken(Exception):
    """The message says how."""


def sealed(place: str, value: Contract) -> bytes:
    """Return ``value`` as JSON with a seal over its content and ``place``, what it belongs to."""
    document = value.model_dump(mode="json", by_alias=True)
    return json.dumps({**document, _SEAL: _seal(place, document)}, indent=1).encode()


def unsealed(place: str, content: bytes, model: type[C]) -> C:
    """Read what :func:`sealed` wrote; raises Broken if any of it has changed, or it belongs elsewhere."""
    try:
        document = json.loads(content)
        seal = document.pop(_SEAL, None)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise Broken("it is damaged or cut short") from None
    if seal is None:
        raise Broken("it has no seal: another version or another program wrote it, or it was cut short")
    if seal != _seal(place, document):
        raise Broken("its numbers are not those that were written, or it was written for something else")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise Broken(f"another version wrote it ({error.errors()[0]['msg']})") from None


def _seal(place: str, document: dict[str, Any]) -> str:
    text = json.dumps([place, document], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
