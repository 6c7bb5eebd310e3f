"""Which weights get more bits: the costliest ones, as few as it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Bits = dict[str, int]


def by_cost(names: Sequence[str], costs: Mapping[str, float]) -> list[str]:
    """Return names, the costliest first; one whose cost is not known comes before all others."""
    return sorted(names, key=lambda name: -costs.get(name, float("inf")))


def with_restored(names: Sequence[str], count: int) -> Bits:
    """Return 16 bits for the first ``count`` of the names, 8 for the others."""
    return {name: 16 if index < count else 8 for index, name in enumerate(names)}


def fewest(most: int, holds: Callable[[int], bool]) -> int | None:
    """Return a small count, 1..``most``, for which ``holds``; None if it does not hold for ``most``.

    It is doubled until it holds, and then halved towards the last one that did not: of what holds for more
    whenever it holds for fewer, that is the smallest count.
    """
    failed, count = 0, 1
    while not holds(count):
        if count >= most:
            return None
        failed, count = count, min(2 * count, most)
    while count - failed > 1:
        middle = (failed + count) // 2
        if holds(middle):
            count = middle
        else:
            failed = middle
    return count
