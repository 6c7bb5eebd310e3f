"""The order in which channels that are bound to positions lie in a narrower net.

What was one unit in the wide net and what is one in the narrow net correspond if they take part in the same
layers, equally often; among such units the order stays.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from secateur_jobs.pruning.native.bound import BoundGroup, sizes_of
from secateur_jobs.pruning.native.groups import Signature
from secateur_jobs.pruning.native.narrow import Narrowing, NoMatch, Parts, parts_of
from secateur_jobs.pruning.native.parameter_axes import Nodes, Side, parameter_axes

Order = dict[tuple[str, str, int], np.ndarray]
"""(layer, parameter, axis) to the positions that stay, in the order that they take."""


def arrangement(keep: Mapping[BoundGroup, np.ndarray], narrowing: Narrowing) -> Order:
    """Return the order of positions on every axis that bound groups share. Raises NoMatch, ValueError."""
    if not keep:
        return {}
    widths: dict[int, int] = {}
    for group, mask in keep.items():
        widths |= group.widths(group.step_of(mask))
    narrow = narrowing.at(widths)
    free = {
        g: _by_sizes([p for p, stays in zip(g.parts, mask, strict=True) if stays]) for g, mask in keep.items()
    }
    owner = {leaf: group for group in keep for leaf in group.producer_widths}
    taken: dict[int, dict[int, int]] = {}
    for unit in narrow.units:
        parts = parts_of(narrow.nodes, unit)
        group = next(owner[side // 2] for side in parts if side % 2 and side // 2 in owner)
        candidates = free[group].get(sizes_of(parts))
        if not candidates:
            raise NoMatch(f"the channels of {group.name} have no counterpart at these widths")
        for side, channels in candidates.pop(0).items():
            taken.setdefault(side, {}).update(zip(parts[side].tolist(), channels.tolist(), strict=True))
    return _orders(taken, keep, narrow.nodes, narrowing)


def _orders(
    taken: dict[int, dict[int, int]],
    keep: Mapping[BoundGroup, np.ndarray],
    narrow: Nodes,
    narrowing: Narrowing,
) -> Order:
    bound: dict[int, set[int]] = {}
    for group in keep:
        for parts in group.parts:
            for number, channels in parts.items():
                bound.setdefault(number, set()).update(channels.tolist())
    orders: Order = {}
    wide = Nodes.of(narrowing.leaves)
    for number, own in bound.items():
        index = number // 2
        side: Side = "out" if number % 2 else "in"
        width = len(wide.side(index, side))
        others = iter([channel for channel in range(width) if channel not in own])
        places = taken.get(number, {})
        count = len(narrow.side(index, side))
        chosen = np.asarray([places[c] if c in places else next(others, -1) for c in range(count)], np.int64)
        if next(others, None) is not None or (chosen < 0).any():
            raise NoMatch(f"the channels before {narrowing.leaves[index].name} have no counterpart")
        for axis in parameter_axes(narrowing.leaves[index]):
            if axis.side == side:
                key = (narrowing.leaves[index].name, axis.parameter, axis.axis)
                orders[key] = _positions(axis.channel, chosen, width)
    return orders


def _positions(channel: np.ndarray, chosen: np.ndarray, width: int) -> np.ndarray:
    """Return the positions of an axis for the chosen channels; ``channel`` is that of every position now."""
    times = len(channel) // width
    if np.array_equal(channel, np.tile(np.arange(width), times)):
        return (chosen + width * np.arange(times)[:, None]).reshape(-1)
    if np.array_equal(channel, np.repeat(np.arange(width), times)):
        return (chosen[:, None] * times + np.arange(times)).reshape(-1)
    raise NoMatch("a grouped layer takes channels by position")


def _by_sizes(units: list[Parts]) -> dict[Signature, list[Parts]]:
    found: dict[Signature, list[Parts]] = {}
    for parts in units:
        found.setdefault(sizes_of(parts), []).append(parts)
    return found
