"""What a net costs (MACs, parameters, bytes, seconds) by its groups' widths, without building it.

Each part of the cost (a weight) is as large as the product of its axes, and each axis shrinks with the
groups that run along it: ``size * (1 - sum over groups of share * cut) * (the same for the other axis)``.
With ``k`` the kept share of each group, that is a polynomial of degree two without negative coefficients,
``constant + linear . k + k' quadratic k``, which never rises when a width falls.

Latency is fitted to whole narrowed nets that were measured on the device. Each layer costs what its products
cost (in-width x out-width) and what its outputs cost (out-width); both are shares of the unpruned net's
latency, and never negative. On x86 CPUs latency is a straight line in a width, without steps between aligned
widths. Whole nets are measured, not single layers: converters fuse layers, and what happens between layers is
latency as well. There are more terms than nets, so the terms of one kind of layer are first fitted together,
and each may then depart from its kind as far as the measurements ask for it (ridge regression towards the
kind's rate).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls


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
        others = np.array([i for i, name in enumerate(self.groups) if name not in set(groups)], int)
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


_NOISE = 0.01
"""Spread of one measured share (median of interleaved pairs)."""
_FREEDOM = 0.5
"""Spread of a layer's rate around that of its kind."""


@dataclass(frozen=True)
class Term:
    """One thing that takes time."""

    layer: str
    kind: str
    """Terms of one kind have one rate before they are told apart."""
    amount: float
    """At full width: MACs, or elements of the output."""
    part: Part
    """How it shrinks; its size is 1."""


@dataclass(frozen=True)
class Fit:
    """Seconds of each term at full width, relative to the unpruned net's latency."""

    constant: float
    shares: np.ndarray
    error: float
    """Root mean square of the residuals of measured nets that the fit had not seen."""


def fit(terms: Sequence[Term], nets: Sequence[dict[str, float]], measured: Sequence[float]) -> Fit:
    """Fit the terms to the ``measured`` latencies of ``nets`` (the kept share of each group).

    Latencies are shares of the unpruned net's, which is known to be 1 and need not be among them.
    """
    features = np.array([[1.0, *(_left(t.part, net) for t in terms)] for net in [{}, *nets]])
    values = np.array([1.0, *measured])
    weights = _solve(terms, features, values)
    errors = []
    for out in range(1, len(values)):
        seen = np.arange(len(values)) != out
        errors.append(features[out] @ _solve(terms, features[seen], values[seen]) - values[out])
    return Fit(float(weights[0]), weights[1:], float(np.sqrt(np.mean(np.square(errors)))))


def model(groups: Sequence[str], terms: Sequence[Term], fitted: Fit) -> CostModel:
    """Return the latency of every combination of widths, as a share of the unpruned net's."""
    parts = [Part(float(s), t.part.rows, t.part.columns) for t, s in zip(terms, fitted.shares, strict=True)]
    cost = CostModel(groups, parts, fitted.constant)
    cost.margin = fitted.error
    return cost


def _left(part: Part, net: dict[str, float]) -> float:
    """Return the share of a part that is left."""
    rows, columns = (
        1 - sum(share * (1 - net.get(group, 1.0)) for group, share in axis.items())
        for axis in (part.rows, part.columns)
    )
    return rows * columns


def _solve(terms: Sequence[Term], features: np.ndarray, values: np.ndarray) -> np.ndarray:
    kinds = sorted({t.kind for t in terms})
    of_kind = np.zeros((1 + len(terms), 1 + len(kinds)))
    of_kind[0, 0] = 1.0
    for row, term in enumerate(terms, 1):
        of_kind[row, 1 + kinds.index(term.kind)] = term.amount
    of_kind /= np.maximum(of_kind.sum(axis=0), 1e-12)
    shared = features @ of_kind
    rates = _ridge(shared, values, np.zeros(shared.shape[1]), _NOISE)
    prior = of_kind @ rates
    factors = _ridge(features * prior, values, np.ones(len(prior)), _NOISE / _FREEDOM)
    return np.asarray(prior * factors)


def _ridge(features: np.ndarray, values: np.ndarray, around: np.ndarray, strength: float) -> np.ndarray:
    """Return non-negative least squares with a penalty on the distance from ``around``."""
    width = features.shape[1]
    left = np.vstack([features, strength * np.eye(width)])
    found, _ = nnls(left, np.concatenate([values, strength * around]))
    return np.asarray(found)
