"""Which plans to try on the net itself: the predictions' own, then ever nearer to the best that was measured.

Curves are measured one group at a time on a net that nothing repairs; what a cut net is worth after repair
they may order badly, and how badly differs from group to group. So their weights are drawn at random, and
each draw's greedy plan is one to try: it holds the budgets and wastes nothing, whatever the weights. The
second half of the plans are neighbours of the best so far (random local search, as in SPDY, Frantar and
Alistarh 2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from secateur_jobs.pruning.allocation import greedy
from secateur_jobs.pruning.allocation.methods import Method
from secateur_jobs.pruning.allocation.moves import give_back
from secateur_jobs.pruning.allocation.problem import Positions, Problem

_SPREAD = 1.0
"""Standard deviation of the logarithm of a group's weight."""
_DRAWS = 20
"""Draws for one new plan; after that there is none."""


class Search:
    """Up to ``count`` different plans, one at a time; :meth:`tell` it how good each was before the next."""

    def __init__(
        self,
        problem: Problem,
        methods: Sequence[Method],
        count: int,
        seed: int,
        settled: Mapping[str, int],
    ) -> None:
        """``methods`` give the first plans, as far as they differ; ``settled`` are other groups' widths."""
        self._problem, self._methods, self.count = problem, methods, count
        self._settled = settled
        self._random = np.random.default_rng(seed)
        self._tried: list[Positions] = []
        self._losses: list[float] = []

    @property
    def first(self) -> dict[str, int]:
        """The predicted plan, whatever is measured."""
        return self._widths(self._methods[0](self._problem))

    def __iter__(self) -> Iterator[dict[str, int]]:
        """Yield the width of every group, the predicted plan first."""
        for method in self._methods[: self.count]:
            plan = method(self._problem)
            if self._is_new(plan):
                yield self._take(plan)
        while len(self._tried) < self.count and (drawn := self._new()) is not None:
            yield self._take(drawn)

    def tell(self, loss: float) -> None:
        """Say what the last plan lost; a loss that is no number counts as the worst."""
        self._losses.append(loss if np.isfinite(loss) else np.inf)

    @property
    def best(self) -> dict[str, int]:
        """The plan of the least loss told; the first where none is better."""
        return self._widths(self._best)

    @property
    def _best(self) -> Positions:
        return self._tried[int(np.argmin(self._losses))]

    def _take(self, plan: Positions) -> dict[str, int]:
        self._tried.append(plan)
        return self._widths(plan)

    def _widths(self, plan: Positions) -> dict[str, int]:
        return {**self._settled, **self._problem.widths(plan)}

    def _is_new(self, plan: Positions) -> bool:
        return not any((plan == other).all() for other in self._tried)

    def _new(self) -> Positions | None:
        is_near = 2 * len(self._tried) >= self.count
        for _ in range(_DRAWS):
            plan = self._near(self._best) if is_near else greedy.solve(self._weighted())
            if self._is_new(plan):
                return plan
        return None

    def _weighted(self) -> Problem:
        weights = np.exp(self._random.normal(0, _SPREAD, len(self._problem.names)))
        return self._problem.weighted(weights)

    def _near(self, plan: Positions) -> Positions:
        """Return a neighbour: some groups a step wider or narrower, the others make up for it."""
        problem = self._weighted()
        moved = plan + self._random.choice([-1, 0, 0, 1], len(plan))
        moved = np.clip(moved, problem.widest, problem.narrowest)
        return give_back(problem, greedy.descend(problem, moved))
