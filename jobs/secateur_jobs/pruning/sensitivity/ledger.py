"""Points in the store: committed one by one, found again by any process and job that measures the same."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from secateur_api.results import Point
from secateur_jobs.runtime.store import Store


@dataclass(frozen=True)
class Ledger:
    """Reads from several folders, the first one first, and writes to the first."""

    store: Store
    folders: tuple[str, ...]

    def find(self, group: str, ratio: float) -> Point | None:
        """Return a committed point; a damaged one counts as none and is written anew."""
        for folder in self.folders:
            path = _path(folder, group, ratio)
            if self.store.exists(path):
                try:
                    return Point.model_validate_json(self.store.read(path))
                except ValidationError:
                    continue
        return None

    def commit(self, point: Point) -> None:
        """Keep a point."""
        path = _path(self.folders[0], point.group, point.ratio)
        self.store.write(path, point.model_dump_json(by_alias=True).encode())


def _path(folder: str, group: str, ratio: float) -> str:
    return f"{folder}/{group}@{ratio:g}.json"
