"""What a store holds, and what of it may go: ``python -m secateur_jobs store``.

It lists, verifies or clears a store, and prints one JSON line for each unit; or it sends files.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pydantic import ValidationError

from secateur_api.stage import ExitCode, StageResult
from secateur_api.storekeeping import (
    LENGTH_BYTES,
    LINE_PREFIX,
    REQUEST_VARIABLE,
    Answer,
    Cleared,
    Kept,
    StoreRequest,
)
from secateur_jobs.runtime.errors import Damaged, StageError, from_os_error
from secateur_jobs.runtime.files import Entry
from secateur_jobs.runtime.store import Store

_CACHES = ("points", "latency")
"""Found again by what decides them, and made again where they are gone."""


@dataclass(frozen=True)
class Doomed:
    """What goes of one unit, or of one folder of a cache."""

    name: str
    paths: list[str]
    """Results first: what is half removed was never committed."""
    bytes: int


def units_of(files: Mapping[str, Entry]) -> dict[str, dict[str, Entry]]:
    """Return each folder of units and caches with its files, by path."""
    found: dict[str, dict[str, Entry]] = defaultdict(dict)
    for path, entry in files.items():
        parts = path.split("/")
        if len(parts) > 2:
            found["/".join(parts[:2])][path] = entry
    return dict(sorted(found.items()))


def census(store: Store) -> Iterator[Kept]:
    """Describe every unit, without reading its files."""
    for folder, files in units_of(store.walk("units")).items():
        unit = folder.removeprefix("units/")
        try:
            result = store.result(unit)
            damage = "" if result is not None else "not committed: a stage is at work, or was ended"
        except Damaged as error:
            result, damage = None, error.message
        yield Kept(
            unit=unit,
            stage=result.summary.stage.value if result is not None else None,
            files=len(files),
            bytes=sum(entry.bytes for entry in files.values()),
            modified=max(entry.modified for entry in files.values()),
            damage=damage,
        )


def verified(store: Store, units: Collection[str] = ()) -> Iterator[Kept]:
    """Describe the named units (none: all that are committed), each file read and compared."""
    files = units_of(store.walk("units"))
    for unit in units or [folder.removeprefix("units/") for folder in files]:
        there = files.get(f"units/{unit}", {})
        found = store.look(unit)
        if not units and found.result is None and not found.damage:
            continue
        at = store.url_of(f"units/{unit}/result.json")
        yield Kept(
            unit=unit,
            stage=found.result.summary.stage.value if found.result is not None else None,
            files=len(there),
            bytes=sum(entry.bytes for entry in there.values()),
            modified=max((entry.modified for entry in there.values()), default=0.0),
            damage=found.damage or ("" if found.result is not None else f"{at} is missing"),
        )


def doomed(store: Store, named: Collection[str], before: float) -> Iterator[Doomed]:
    """Say what may go: nothing that is named, nothing that was written after ``before`` (seconds since 1970).

    Of a unit that is named, what its result does not name goes: left by attempts that came to nothing.
    """
    for folder, files in units_of(store.walk("units")).items():
        unit = folder.removeprefix("units/")
        if unit in named:
            yield from _leftovers(store, unit, files, before)
        elif all(entry.modified < before for entry in files.values()):
            yield _doomed(unit, files)
    for cache in _CACHES:
        for folder, files in units_of(store.walk(cache)).items():
            old = {path: entry for path, entry in files.items() if entry.modified < before}
            if old:
                yield _doomed(folder, old)


def _leftovers(store: Store, unit: str, files: Mapping[str, Entry], before: float) -> Iterator[Doomed]:
    try:
        result = store.result(unit)
    except Damaged:
        return
    if result is None:
        return
    left = {
        path: entry
        for path, entry in files.items()
        if entry.modified < before and path not in _named_by(result) and path.count("/") > 2
    }
    if left:
        yield _doomed(unit, left)


def _named_by(result: StageResult) -> set[str]:
    return {ref.path for ref in result.files.values()}


def _doomed(name: str, files: Mapping[str, Entry]) -> Doomed:
    order = sorted(files, key=lambda path: ("/result" not in path, path))
    return Doomed(name, order, sum(entry.bytes for entry in files.values()))


def send(store: Store, paths: Collection[str], to: BinaryIO) -> None:
    """Write files as :data:`LENGTH_BYTES` says, in constant memory."""
    for path in paths:
        for block in store.blocks(path):
            to.write(len(block).to_bytes(LENGTH_BYTES, "big") + block)
        to.write(bytes(LENGTH_BYTES))
    to.flush()


def keep_store(words: Sequence[str] = ()) -> ExitCode:
    """Do what the request asks for; the answers go to standard output, beside files to standard error.

    ``words`` are further units, separated by commas: one environment variable may be too short for all.
    """
    try:
        text = os.environ.get(REQUEST_VARIABLE) or sys.stdin.read()
        request = StoreRequest.model_validate_json(text)
        units = [*request.units, *(unit for word in words for unit in word.split(","))]
        files = sys.stdout.buffer
        if request.action == "read":
            sys.stdout = sys.stderr  # nothing else may get between the files
        for answer in _answers(request.model_copy(update={"units": units}), files):
            _say(answer)
    except ValidationError as error:
        return _failed(ExitCode.INVALID_INPUT, f"{REQUEST_VARIABLE}: {error.errors()[0]['msg']}")
    except StageError as error:
        return _failed(error.exit_code, error.message)
    except OSError as error:
        known = from_os_error(error)
        return _failed(known.exit_code, known.message)
    _say(Answer(done=True))
    return ExitCode.DONE


def _answers(request: StoreRequest, files: BinaryIO) -> Iterator[Answer]:
    store = Store(request.store)
    if request.action == "list":
        yield from (Answer(kept=one) for one in census(store))
    elif request.action == "verify":
        yield from (Answer(kept=one) for one in verified(store, request.units))
    elif request.action == "read":
        send(store, request.units, files)
    else:
        yield from _cleared(store, request)


def _cleared(store: Store, request: StoreRequest) -> Iterator[Answer]:
    for one in doomed(store, set(request.units), request.before):
        if not request.dry_run:
            for path in one.paths:
                store.remove(path)
            store.remove_empty("/".join(one.paths[0].split("/")[:2]))
        yield Answer(cleared=Cleared(name=one.name, files=len(one.paths), bytes=one.bytes))


def _say(answer: Answer) -> None:
    text = answer.model_dump_json(by_alias=True, exclude_none=True)
    print(f"{LINE_PREFIX}{text}", flush=True)  # noqa: T201


def _failed(code: ExitCode, why: str) -> ExitCode:
    _say(Answer(failed=why, retryable=code is ExitCode.RETRYABLE))
    return code
