"""What a net costs (MACs or parameters) as a function of its groups' widths, without building it.

Each part of the cost (a weight) is as large as the product of its axes, and each axis shrinks with the
groups that run along it: ``size * (1 - sum over groups of share * cut) * (the same for the other axis)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """One weight's cost in the unpruned net."""

    size: float
    rows: Mapping[str, float]
    """Group to the share of one axis that is its channels (output channels); 1 at most in all."""
    columns: Mapping[str, float]
    """The same for the other axis (input channels)."""


class CostModel:
    """The cost of every combination of widths. ``kept`` is the share of each group's channels that stays."""

    def __init__(self, groups: Sequence[str], parts: Sequence[Part], constant: float = 0.0) -> None:
        self.groups = tuple(groups)
        self._index = {name: i for i, name in enumerate(groups)}
        self._sizes = np.array([part.size for part in parts], np.float64)
        self._rows = self._shares([part.rows for part in parts])
        self._columns = self._shares([part.columns for part in parts])
        self._constant = constant

    def _shares(self, maps: list[Mapping[str, float]]) -> np.ndarray:
        shares = np.zeros((len(maps), len(self.groups)))
        for row, shares_of in enumerate(maps):
            for group, share in shares_of.items():
                shares[row, self._index[group]] += share
        return shares

    def total(self, kept: Mapping[str, float]) -> float:
        """Return the cost when ``kept`` of each group stays; a group that is not named stays whole."""
        return (
            float(self.totals(kept, self.groups[0], [kept.get(self.groups[0], 1.0)])[0])
            if self.groups
            else (float(self._sizes.sum() + self._constant))
        )

    def totals(self, kept: Mapping[str, float], group: str, values: Sequence[float]) -> np.ndarray:
        """Return the costs when one group keeps each of the shares ``values``, the others as in ``kept``."""
        cut = np.array([1 - kept.get(name, 1.0) for name in self.groups])
        index = self._index[group]
        change = (1 - np.asarray(values, np.float64)) - cut[index]
        rows = 1 - self._rows @ cut
        columns = 1 - self._columns @ cut
        varied_rows = rows[None] - change[:, None] * self._rows[:, index][None]
        varied_columns = columns[None] - change[:, None] * self._columns[:, index][None]
        return np.asarray((varied_rows * varied_columns) @ self._sizes + self._constant)
