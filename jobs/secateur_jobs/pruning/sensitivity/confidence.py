"""A confidence sequence for the mean of a finite population that is sampled without replacement.

Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal
Statistical Society B 86(1), 2024: sections 4 (capital process), 5 (sampling without replacement) and B.3
(the bets: approximate growth-rate adaptive, aGRAPA). Against each candidate mean m a gambler bets on the
next observation; if m is the true mean the capital is a martingale that starts at 1, so by Ville's
inequality it ever reaches 1/alpha with probability alpha at most. What is left of the candidates covers
the true mean at all times at once: one may look after each batch and stop when one likes.
"""

from __future__ import annotations

import numpy as np

_MOST_CANDIDATES = 4001
_BOLDNESS = 0.75  # share of the largest bet that cannot ruin the gambler
_PRIOR_VARIANCE = 0.02  # of observations in 0..1, worth one observation; any value is valid


class MeanInterval:
    """Bounds for the mean of ``population`` numbers in -1..1, seen one after the other in random order.

    ``alpha`` is the probability that the bounds miss the mean at any time; ``resolution`` is the distance
    of the candidate means (bounds are rounded outwards to them).
    """

    def __init__(self, population: int, alpha: float, resolution: float) -> None:
        step = max(resolution, 1 / population, 2 / (_MOST_CANDIDATES - 1))
        count = int(np.ceil(2 / step)) + 1
        self._candidates = np.linspace(0.0, 1.0, count)  # observations are moved to 0..1
        self._log_capital = np.zeros(count)
        self._population, self._limit = population, float(np.log(1 / alpha))
        self._sum = self._squares = 0.0
        self.seen = 0
        self.low, self.high = -1.0, 1.0

    @property
    def mean(self) -> float:
        """Mean of what was seen."""
        return 2 * self._sum / self.seen - 1 if self.seen else 0.0

    def add(self, values: np.ndarray) -> None:
        """See more of the population, shape [n]; raises ValueError if that is more than there is."""
        x = (np.asarray(values, np.float64) + 1) / 2
        if self.seen + len(x) > self._population:
            raise ValueError(f"{self.seen + len(x)} observations of a population of {self._population}")
        self._bet(x)
        self._sum += float(x.sum())
        self._squares += float((x * x).sum())
        self.seen += len(x)
        if self.seen == self._population:
            self.low = self.high = self.mean
        else:
            self._drop()

    def _bet(self, x: np.ndarray) -> None:
        before = self.seen + np.arange(len(x))
        sums = self._sum + np.concatenate([[0.0], np.cumsum(x)[:-1]])
        squares = self._squares + np.concatenate([[0.0], np.cumsum(x * x)[:-1]])
        mean = (sums + 0.5) / (before + 1)
        variance = (squares - 2 * mean * sums + before * mean**2 + _PRIOR_VARIANCE) / (before + 1)
        # if m is the mean of all, this is the mean of those not seen yet
        left = (self._population * self._candidates - sums[:, None]) / (self._population - before)[:, None]
        possible = ((left > -1e-12) & (left < 1 + 1e-12)).all(axis=0)
        left = np.clip(left, 1e-9, 1 - 1e-9)
        edge = mean[:, None] - left
        bet = edge / (variance[:, None] + edge**2)
        bet = np.clip(bet, -_BOLDNESS / (1 - left), _BOLDNESS / left)
        gains = np.log1p(np.maximum(bet * (x[:, None] - left), -1 + 1e-12))
        capital = self._log_capital + np.cumsum(gains, axis=0)
        lost = ~possible | (capital.max(axis=0) >= self._limit)
        self._log_capital = np.where(lost, np.inf, capital[-1])

    def _drop(self) -> None:
        """Forget the candidates that are excluded; the bounds are the first excluded ones around the rest."""
        alive = np.flatnonzero(self._log_capital < self._limit)
        if len(alive) == 0:  # the mean lies between two candidates: what was found so far holds
            return
        first, last = max(alive[0] - 1, 0), min(alive[-1] + 1, len(self._candidates) - 1)
        self._candidates = self._candidates[first : last + 1]
        self._log_capital = self._log_capital[first : last + 1]
        self.low = max(self.low, 2 * float(self._candidates[0]) - 1)
        self.high = min(self.high, 2 * float(self._candidates[-1]) - 1)
