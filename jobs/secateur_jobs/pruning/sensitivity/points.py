"""Which sensitivity points a job needs, how several processes share them, and where they are kept.

A point runs the net from its group's first consumer on. What lies before, the process computes once per batch
for all of its points, up to the deepest of their groups. So the points are laid out by depth and each process
takes a run of them, so that all end at about the same time: the first ones few and dear, with little to
compute before, the last ones many and cheap. Each is committed to the store by itself, where any process and
job that measures the same finds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secateur_api.results import Group, Held, Point
from secateur_api.sources import Sources
from secateur_api.spec import PruningJobSpec, SensitivityMode
from secateur_api.stage import digest_of
from secateur_jobs.runtime.store import Store


def points_of(groups: Sequence[Group], ratios: Sequence[float]) -> list[tuple[str, float]]:
    """Return (group, ratio) for every point that allocation can use.

    That is each ratio up to the group's cap, and the next one, so that the curve reaches the cap.
    """
    points = []
    for group in groups:
        for ratio in sorted(set(ratios)):
            points.append((group.name, ratio))
            if ratio >= group.cap:
                break
    return points


def folder_of(
    spec: PruningJobSpec,
    checkpoint_sha256: str,
    sources: Sources,
    engine: str,
    mode: SensitivityMode,
    comparisons: int,
    held: Held | None,
) -> str:
    """Return the folder of all points that are measured in the same way on the same weights.

    The name is a digest of everything that decides a point's value, weights and data themselves included: a
    point of another model can never be taken for one of this. ``comparisons`` is the number of points whose
    intervals hold at once.
    """
    decides: dict[str, Any] = {
        "checkpoint": checkpoint_sha256,
        "engine": engine,
        "criterion": spec.pruning.criterion,
        "held": held.samples if held is not None else None,
        "dataFraction": spec.sensitivity.data_fraction,
        "data": spec.data.decides(),
        "sources": sources.to_wire(),
        "evaluation": spec.evaluation.to_wire(),
        "seed": spec.seed,
        "code": spec.code.sha256 if spec.code is not None else None,
        "image": spec.image,
    }
    if spec.fresh is not None:
        decides["fresh"] = spec.fresh
    if mode is not SensitivityMode.EXACT:
        decides["mode"] = mode.value
    if mode is SensitivityMode.BOUNDED:
        settings = spec.sensitivity
        decides["bounds"] = [settings.tolerance, settings.confidence, settings.cap, comparisons]
    return f"points/{digest_of(decides)}"


Wanted = tuple[str, float]
"""Group and ratio of a point."""

RECORDING = 1.2
"""Time of computing a part of the net and keeping it, over that of computing it (measured: 1.16, 1.19)."""
MASKING = 0.02
"""What setting a cut's mask takes, as a share of a forward pass (measured on small nets: 0.01, 0.02)."""
_HALVINGS = 50


def deal(points: Sequence[Wanted], behind: Mapping[str, float], shards: int) -> list[list[Wanted]]:
    """Return the points of each of ``shards`` processes, some with none where there are too few.

    ``behind`` is the share of a forward pass (0..1) from the group's first consumer on. The longest of the
    predicted times is as short as runs of points allow. Equal arguments give equal shares in any process.
    """
    laid_out = sorted(points, key=lambda point: -behind[point[0]])
    low, high = 0.0, cost(laid_out, behind)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if len(_runs(laid_out, behind, middle)) <= shards:
            high = middle
        else:
            low = middle
    runs = _runs(laid_out, behind, high)
    return runs + [[] for _ in range(shards - len(runs))]


def cost(points: Sequence[Wanted], behind: Mapping[str, float]) -> float:
    """Return the predicted time of measuring ``points`` in one process, in forward passes per batch."""
    if not points:
        return 0.0
    again = [behind[group] for group, _ in points]
    return _recording(min(again)) + sum(share + MASKING for share in again)


def _recording(least_behind: float) -> float:
    return RECORDING * (1 - least_behind)


def _runs(laid_out: Sequence[Wanted], behind: Mapping[str, float], most: float) -> list[list[Wanted]]:
    """Cut ``laid_out``, the shallow ones first, into the fewest runs of cost ``most`` or of one point."""
    runs: list[list[Wanted]] = []
    spent = 0.0
    for point in laid_out:
        share = behind[point[0]]
        spent += share + MASKING
        if not runs or spent + _recording(share) > most:
            runs.append([])
            spent = share + MASKING
        runs[-1].append(point)
    return runs


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
