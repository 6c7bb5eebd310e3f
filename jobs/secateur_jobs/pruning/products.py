"""How products outside layers, such as attention's, shrink with the groups.

No weight says which channels they run over. So groups are cut, and what is left of each product is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from secateur_api.spec import InputSpec
from secateur_jobs.pruning.cost import Part
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine
from secateur_jobs.pruning.macs import Counts, count

Shares = dict[str, float]
_ROUNDING = 1e-9


def product_parts(
    engine: PruningEngine, groups: Sequence[ChannelGroup], counts: Counts, inputs: list[InputSpec]
) -> list[Part]:
    """Return the products of ``counts`` that shrink with any of ``groups``; the net stays as it is.

    ``counts`` are those of the engine's uncut net at ``inputs``. A product that shrinks along more than two
    axes is predicted by two of them.
    """
    shares: list[Shares] = [{} for _ in counts.products]
    if shares:
        _find(engine, groups, counts.products, inputs, shares)
    return [Part(size, *_axes(share)) for size, share in zip(counts.products, shares, strict=True) if share]


def _find(
    engine: PruningEngine,
    groups: Sequence[ChannelGroup],
    whole: Sequence[int],
    inputs: list[InputSpec],
    shares: list[Shares],
) -> None:
    """Note in ``shares`` which share of each product is each group's; halves without any are passed over."""
    keep = {group.name: group.choose(np.zeros(group.channels), (group.channels + 1) // 2) for group in groups}
    engine.cut(keep)
    try:
        left = count(engine.net, inputs).products
    finally:
        engine.restore()
    if left == whole or len(left) != len(whole):  # a forward that calls others when cut tells nothing
        return
    if len(groups) > 1:
        middle = len(groups) // 2
        for half in (groups[:middle], groups[middle:]):
            _find(engine, half, whole, inputs, shares)
        return
    gone = 1 - float(keep[groups[0].name].mean())
    for share, before, after in zip(shares, whole, left, strict=True):
        if after < before:
            share[groups[0].name] = (1 - after / before) / gone


def _axes(shares: Mapping[str, float]) -> tuple[Shares, Shares]:
    """Spread groups over two axes: those of one axis have all of it at most, a group on both has more."""
    axes: tuple[Shares, Shares] = ({}, {})
    for name, share in shares.items():
        wanted = [1.0, 1.0] if share > 1 + _ROUNDING else [share]
        for axis in axes:
            if wanted and sum(axis.values()) + wanted[0] <= 1 + _ROUNDING:
                axis[name] = wanted.pop()
    return axes
