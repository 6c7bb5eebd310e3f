"""Sensitivity curves: how much is lost when a share of one group's channels is cut."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from secateur_api.results import Point


class Curve:
    """Loss over ratio: 0 at ratio 0, never falling, linear between the measured points.

    A measured loss below an earlier one is noise of the evaluation set (cutting more does not repair), so
    the curve is the running maximum; a negative loss counts as none. There is no extrapolation.
    """

    def __init__(self, points: Iterable[tuple[float, float]]) -> None:
        measured = sorted(points)
        self._ratios = np.array([0.0, *(ratio for ratio, _ in measured)])
        self._losses = np.maximum.accumulate([0.0, *(loss for _, loss in measured)])

    @property
    def end(self) -> float:
        """The largest measured ratio."""
        return float(self._ratios[-1])

    def __call__(self, ratio: float) -> float:
        """Return the loss at a ratio; beyond the end it is the last one."""
        return float(np.interp(ratio, self._ratios, self._losses))


def curves_of(points: Iterable[Point]) -> dict[str, Curve]:
    """Return one curve for each group that has points."""
    by_group: dict[str, list[tuple[float, float]]] = {}
    for point in points:
        by_group.setdefault(point.group, []).append((point.ratio, point.loss))
    return {group: Curve(pairs) for group, pairs in by_group.items()}
