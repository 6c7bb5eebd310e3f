"""How several processes share a job's points, so that all of them end at about the same time.

A point runs the net from its group's first consumer on. What lies before, the process computes once per batch
for all of its points, up to the deepest of their groups. So the points are laid out by depth and each process
takes a run of them: the first ones few and dear, with little to compute before, the last ones many and cheap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
