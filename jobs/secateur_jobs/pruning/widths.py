"""Which widths a layer may have: aligned, and never so narrow that the layer becomes a bottleneck.

Kept widths are multiples of ``align`` (kernels work in blocks; depthwise widths off the block make Paddle
Lite slower than the uncut net). The limits on how much of one group may go are there because a plan is
ruined by one group that is cut to almost nothing, however flat its own curve is.
"""

from __future__ import annotations

import math

MAX_RATIO = 0.75
"""Most that allocation cuts of one group; a rule in ``layers`` may ask for more."""
FLOOR = 1 / 8
"""At least this share of a group's channels stays, whatever a rule asks for."""


def kept_width(channels: int, ratio: float, align: int) -> int:
    """Return the width after cutting at most ``ratio`` of ``channels``: the ratio is rounded down.

    The result is a multiple of ``align``, at least ``align``, at least an eighth of the channels, and never
    more than ``channels`` (which need be no multiple).
    """
    wanted = max(channels * (1 - ratio), channels * FLOOR, 1)
    blocks = math.ceil(wanted / align - 1e-9)
    return min(channels, max(blocks, 1) * align)


def ladder(widest: int, narrowest: int, align: int) -> list[int]:
    """Return the widths from ``widest`` to ``narrowest``: itself, then multiples of ``align``."""
    first = (widest - 1) // align * align
    return [widest, *range(first, narrowest - 1, -align)] if narrowest < widest else [widest]
