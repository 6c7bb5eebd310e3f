"""The artifact store: units of work at any fsspec URI, each committed in one step and never changed after.

Layout: ``units/<unit>/<first 12 of the sha256>/<file>``, so that another content is another file;
``units/<unit>/result.json`` names them, and is made in one step that fails where there is one: whoever comes
second takes what is there. Where a committed unit is found damaged, it is made again and committed as
``result-2.json``, and so on: the last one counts, and nothing is ever replaced.
``points/<key>/<name>.json`` are sensitivity points, ``latency/<key>.json`` latency tables.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from secateur_api.base import Contract
from secateur_api.conditions import Reason
from secateur_api.stage import FileRef, StageResult, unit_path
from secateur_jobs.runtime.errors import Absent, Damaged, StageError
from secateur_jobs.runtime.files import Broken, Files, sealed, unsealed

C = TypeVar("C", bound=Contract)
Check = Callable[[StageResult], str]
"""Says what in a result does not follow from its own numbers; nothing where all does."""
_MOST_TRIES = 5
"""Others may damage a unit while it is committed, but not each time."""
_SETTLE_SECONDS = 1.0
"""Some S3 servers look and write in two steps, so that of two who come at once the last one stays. After so
long nobody who looked before is still writing, and what is there is the unit's result."""
_RECORD = re.compile(r"result(?:-(\d+))?\.json")


@dataclass(frozen=True)
class Found:
    """What the store holds of a unit."""

    result: StageResult | None
    """Of a unit that is whole."""
    damage: str = ""
    """What is wrong with one that was committed and is not whole."""


def _believed(_result: StageResult) -> str:
    return ""


class Store(Files):
    """Units by name below a root URI."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._read: set[str] = set()

    # ---- files ----

    def put(self, unit: str, filename: str, content: bytes) -> FileRef:
        """Write a file of a unit, named by its content; it counts once a result names it."""
        digest = hashlib.sha256(content).hexdigest()
        path = unit_path(unit, f"{digest[:12]}/{filename}")
        self.write(path, content)
        return FileRef(path=path, sha256=digest, bytes=len(content))

    def get(self, ref: FileRef) -> bytes:
        """Return a referenced file's bytes; raises Damaged if it is missing, truncated or altered."""
        try:
            content = self.read(ref.path)
        except Absent:
            raise self._damaged(ref.path, "is missing") from None
        digest = hashlib.sha256(content).hexdigest()
        if digest != ref.sha256:
            raise self._damaged(
                ref.path,
                f"has {len(content)} bytes with sha256 {digest[:12]}..., expected {ref.bytes} bytes with "
                f"{ref.sha256[:12]}...",
            )
        self._read.add(ref.path)
        return content

    def fetch(self, ref: FileRef, folder: Path) -> Path:
        """Copy a referenced file, verified, into a local folder and return its path."""
        target = folder / ref.path.rsplit("/", 1)[-1]
        target.write_bytes(self.get(ref))
        return target

    # ---- small files that tell whether they are whole ----

    def keep(self, path: str, value: Contract) -> None:
        """Write a model as sealed JSON."""
        self.write(path, sealed(path, value))

    def kept(self, path: str, model: type[C]) -> C | None:
        """Read what :meth:`keep` wrote; None if it is not there, or not whole: it is to be made again."""
        content = self.find(path)
        try:
            return None if content is None else unsealed(path, content, model)
        except Broken:
            return None

    # ---- units ----

    def look(self, unit: str, check: Check = _believed) -> Found:
        """Read a unit with all of its files."""
        try:
            result = self._record(unit)
            if result is None:
                return Found(None)
            for ref in result.files.values():
                self.get(ref)
            wrong = self._stale(result) or check(result)
        except Damaged as error:
            return Found(None, error.message)
        return (
            Found(None, f"{self.url_of(unit_path(unit, 'result.json'))}: {wrong}") if wrong else Found(result)
        )

    def _stale(self, result: StageResult) -> str:
        """Say which file the result was made from that its unit has no more, or with another content."""
        for path in result.read:
            upstream = self._record(_unit_of(path))
            if upstream is None or path not in {ref.path for ref in upstream.files.values()}:
                return f"it was made from {path}, which is another one now"
        return ""

    def read_by(self, unit: str) -> list[str]:
        """Return the files of other units that were read so far."""
        return sorted(path for path in self._read if _unit_of(path) != unit)

    def commit(self, unit: str, result: StageResult, check: Check = _believed) -> StageResult:
        """Make ``result`` the unit's, or return the one that another process committed first.

        Raises StageError if what it writes is not believed again and again: it contradicts itself.
        """
        content, settled, tries = sealed(unit, result), self.is_local, 0
        while True:
            # read before the look: who commits after it takes this number, and no second one is made
            numbers = self._numbers(unit)
            found = self.look(unit, check)
            if found.result is not None and settled:
                return found.result
            if found.result is not None:
                time.sleep(_SETTLE_SECONDS)
                settled = True
                continue
            if tries == _MOST_TRIES:
                raise StageError(Reason.INTERNAL_ERROR, f"its own result is not believed: {found.damage}")
            self.create(_record_path(unit, numbers[-1] + 1 if numbers else 1), content)
            tries += 1

    def result(self, unit: str) -> StageResult | None:
        """Return the committed result of a unit, or None; raises Damaged. Files are verified when read."""
        return self._record(unit)

    def unit_file(self, unit: str, name: str) -> bytes:
        """Return a named file of a committed unit, verified; raises Damaged."""
        return self.get(self.unit_ref(unit, name))

    def unit_ref(self, unit: str, name: str) -> FileRef:
        """Return the reference of a named file of a committed unit; raises Damaged."""
        result = self._record(unit)
        if result is None or name not in result.files:
            raise Damaged(unit, f"unit {unit} has no file {name!r} in {self.url_of()}")
        return result.files[name]

    def unit_json(self, unit: str, name: str, model: type[C]) -> C:
        """Return a committed unit's JSON file as its contract model; raises Damaged."""
        ref = self.unit_ref(unit, name)
        try:
            return model.model_validate_json(self.get(ref))
        except ValidationError as error:
            raise self._damaged(ref.path, f"is of another version ({error.errors()[0]['msg']})") from None

    def _numbers(self, unit: str) -> list[int]:
        """Return the numbers of a unit's results, in order."""
        found = (_RECORD.fullmatch(name) for name in self.list(f"units/{unit}"))
        return sorted(int(match[1] or 1) for match in found if match)

    def _record(self, unit: str) -> StageResult | None:
        numbers = self._numbers(unit)
        if not numbers:
            return None
        path = _record_path(unit, numbers[-1])
        try:
            result = unsealed(unit, self.read(path), StageResult)
        except Broken as broken:
            raise self._damaged(path, f"is not believed: {broken}") from None
        except Absent:
            raise self._damaged(path, "is missing") from None
        if result.summary.unit != unit or not result.summary.ok:
            raise self._damaged(path, f"is the result of {result.summary.unit}")
        return result

    def _damaged(self, path: str, what: str) -> Damaged:
        return Damaged(_unit_of(path), f"{self.url_of(path)} {what}")


def _unit_of(path: str) -> str:
    return path.split("/")[1]


def _record_path(unit: str, number: int) -> str:
    return unit_path(unit, "result.json" if number == 1 else f"result-{number}.json")
