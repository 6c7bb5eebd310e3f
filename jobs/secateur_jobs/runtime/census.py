"""What a store holds, and what of it may go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from secateur_api.stage import StageResult
from secateur_api.storekeeping import Kept
from secateur_jobs.runtime.errors import Damaged
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
