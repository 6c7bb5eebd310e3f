"""What a net costs (MACs, parameters, bytes, seconds) by its groups' widths, without building it.

Each part of the cost (a weight) is as large as the product of its axes, and each axis shrinks with the
groups that run along it: ``size * (1 - sum over groups of share * cut) * (the same for the other axis)``.
With ``k`` the kept share of each group, that is a polynomial of degree two without negative coefficients,
``constant + linear . k + k' quadratic k``, which never rises when a width falls.
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
        self.margin = 0.0
        """How far the real cost may be above a predicted one: 0 where it is counted."""
        self._index = {name: i for i, name in enumerate(groups)}
        sizes = np.array([part.size for part in parts], np.float64)
        rows, still_rows = self._shares([part.rows for part in parts])
        columns, still_columns = self._shares([part.columns for part in parts])
        self.constant = constant + float(sizes @ (still_rows * still_columns))
        self.linear = rows.T @ (sizes * still_columns) + columns.T @ (sizes * still_rows)
        product = rows.T @ (sizes[:, None] * columns)
        self.quadratic = (product + product.T) / 2
        """Symmetric; the diagonal is a group on both axes."""

    def _shares(self, maps: list[Mapping[str, float]]) -> tuple[np.ndarray, np.ndarray]:
        """Return each part's share that is each group's (parts x groups), and the share that is nobody's."""
        shares = np.zeros((len(maps), len(self.groups)))
        for row, shares_of in enumerate(maps):
            for group, share in shares_of.items():
                shares[row, self._index[group]] += share
        return shares, np.maximum(1 - shares.sum(axis=1), 0.0)

    def total(self, kept: Mapping[str, float]) -> float:
        """Return the cost when ``kept`` of each group stays; a group that is not named stays whole."""
        return self.value(np.array([kept.get(name, 1.0) for name in self.groups]))

    def value(self, kept: np.ndarray) -> float:
        """Return the cost when ``kept`` (one share per group, in order) stays."""
        return float(self.constant + self.linear @ kept + kept @ self.quadratic @ kept)

    def gradient(self, kept: np.ndarray) -> np.ndarray:
        """Return the derivative of the cost by each group's kept share."""
        return self.linear + 2 * self.quadratic @ kept

    def over(self, groups: Sequence[str], fixed: Mapping[str, float]) -> CostModel:
        """Return the cost as a function of ``groups`` alone; the others keep ``fixed``, or stay whole."""
        index = np.array([self._index[name] for name in groups], int)
        others = [i for i, name in enumerate(self.groups) if name not in set(groups)]
        still = np.array([fixed.get(self.groups[i], 1.0) for i in others])
        model = CostModel(groups, [])
        model.constant = float(
            self.constant
            + self.linear[others] @ still
            + still @ self.quadratic[np.ix_(others, others)] @ still
        )
        model.linear = self.linear[index] + 2 * self.quadratic[np.ix_(index, others)] @ still
        model.quadratic = self.quadratic[np.ix_(index, index)]
        return model
