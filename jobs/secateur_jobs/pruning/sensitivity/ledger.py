"""Points in the store: committed one by one, found again by any process and job that measures the same."""

from __future__ import annotations

from dataclasses import dataclass

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
            point = self.store.kept(_path(folder, group, ratio), Point)
            if point is not None:
                return point
        return None

    def commit(self, point: Point) -> None:
        """Keep a point."""
        self.store.keep(_path(self.folders[0], point.group, point.ratio), point)


def _path(folder: str, group: str, ratio: float) -> str:
    return f"{folder}/{group}@{ratio:g}.json"
