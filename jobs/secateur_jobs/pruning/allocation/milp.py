"""A mixed-integer program over widths: the plan of least predicted loss under several budgets at once.

One binary per group and width, one of each group is taken. Costs are products of in- and out-widths; in the
logarithms of the kept shares they are convex (see :mod:`secateur_jobs.pruning.cost`), so every tangent is a
valid linear constraint, and adding the tangent at each plan that breaks a budget ends at the optimum: outer
approximation (Duran and Grossmann 1986). What one group decides alone (its own share, also squared) is a
table over its widths and exact from the start. So a few small programs of HiGHS do what would else take a
variable per pair of widths (AOWS, MDP); widths that the greedy plan and the relaxation rule out are closed.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog
from scipy.optimize import milp as highs

from secateur_jobs.pruning.allocation import greedy
from secateur_jobs.pruning.allocation.moves import exchange, give_back
from secateur_jobs.pruning.allocation.problem import Budget, Positions, Problem
from secateur_jobs.pruning.allocation.solver_output import without_debug_lines

GAP = 1e-2
"""A plan this near to the least predicted loss of all open plans is the answer: curves are no truer."""
_REGION = 1200
"""About as many options are open: of large nets the widths near the greedy plan's (a trust region)."""
_RELAXATIONS = 8
_ROUNDS = 4
_NODES = 500  # of one program; a limit in time would make the plan depend on the machine
_CLOSE = 1e-3
_TOLERANCE = 1e-9


def solve(problem: Problem) -> Positions:
    """Return the plan of least predicted loss that holds all budgets, or the nearest where none does."""
    plan = greedy.solve(problem)
    if not problem.fits(plan) or not plan.any():
        return plan
    return _Program(problem, plan).search()


class _Program:
    """The linear constraints so far, and the best plan so far.

    Columns: one per option; the logarithm of the kept share per group; what groups cost alone per budget. So
    a tangent has one entry per group, not one per option.
    """

    def __init__(self, problem: Problem, best: Positions) -> None:
        self.problem, self.best = problem, best
        self.surfaces = [_Surface(problem, budget) for budget in problem.budgets]
        self.options, self.groups = len(problem.kept), len(problem.names)
        self.columns = self.options + self.groups + len(self.surfaces)
        self.equal, self.equal_to = self._definitions()
        self.objective = np.concatenate([problem.losses, np.zeros(self.columns - self.options)])
        self.open = self._region(best)
        self.rows: list[sparse.csr_matrix] = []
        self.limits: list[float] = []
        self.add_tangents(problem.kept_of(best))

    def _region(self, centre: Positions) -> np.ndarray:
        """Return 1 for each option that is open, 0 for those far from a good plan."""
        reach = max(_REGION // (2 * self.groups), 3)
        position = np.arange(self.options) - self.problem.first[self.problem.group]
        return (np.abs(position - centre[self.problem.group]) <= reach).astype(float)

    def _definitions(self) -> tuple[sparse.csr_matrix, np.ndarray]:
        """Return the equations: one option of each group, and what the other columns are."""
        shape = (self.groups, self.options)
        where = (self.problem.group, np.arange(self.options))
        members = sparse.csr_matrix((np.ones(self.options), where), shape)
        logs = sparse.csr_matrix((np.log(self.problem.kept), where), shape)
        tables = sparse.csr_matrix(np.array([surface.table for surface in self.surfaces]))
        rest = sparse.identity(self.groups + len(self.surfaces))
        equal = sparse.bmat(
            [[members, None], [sparse.vstack([logs, tables]), -rest]],
            format="csr",
        )
        return equal, np.concatenate([np.ones(self.groups), np.zeros(rest.shape[0])])

    def add_tangents(self, kept: np.ndarray) -> None:
        for index, surface in enumerate(self.surfaces):
            slope, limit = surface.tangent(kept)
            row = np.zeros(self.columns)
            row[self.options : self.options + self.groups] = slope
            row[self.options + self.groups + index] = 1.0
            self.rows.append(sparse.csr_matrix(row))
            self.limits.append(limit)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the least and the largest value of every column."""
        free = self.columns - self.options
        least = np.concatenate([np.zeros(self.options), np.full(free, -np.inf)])
        return least, np.concatenate([self.open, np.full(free, np.inf)])

    def relax(self) -> None:
        """Tighten the linear relaxation, then close the options that no better plan than the best has.

        By reduced costs: taking such an option costs more than the best plan lies above the relaxation.
        """
        least, most = self.bounds()
        for _ in range(_RELAXATIONS):
            found = linprog(
                self.objective,
                A_ub=sparse.vstack(self.rows),
                b_ub=self.limits,
                A_eq=self.equal,
                b_eq=self.equal_to,
                bounds=np.stack([least, most], axis=1),
                method="highs",
            )
            if not found.success:  # nothing is left to take
                return
            kept = np.exp(found.x[self.options : self.options + self.groups])
            alone = found.x[self.options + self.groups :]
            over = [surface.excess(alone[i], kept) for i, surface in enumerate(self.surfaces)]
            if max(over) <= _CLOSE:
                break
            self.add_tangents(kept)
        self.take(self.repaired(self.rounded(found.x)))
        above = self.problem.loss(self.best) - found.fun
        self.open *= found.lower.marginals[: self.options] <= above + _TOLERANCE
        self.open[self.problem.first + self.best] = 1.0
        self.drop_slack(found.slack)

    def drop_slack(self, slack: np.ndarray) -> None:
        """Forget the tangents that do not matter near the relaxation's solution."""
        keep = np.flatnonzero(slack < _CLOSE)
        self.rows = [self.rows[i] for i in keep]
        self.limits = [self.limits[i] for i in keep]

    def search(self) -> Positions:
        """Solve and add tangents until the best plan is proven; return it."""
        self.relax()
        for _ in range(_ROUNDS):
            plan, bound = self.integer()
            if plan is None or self.proven(bound):
                break
            if self.problem.fits(plan):
                self.take(plan)
                break
            self.add_tangents(self.problem.kept_of(plan))
            self.take(self.repaired(plan))
            if self.proven(bound):
                break
        return self.best

    def proven(self, bound: float) -> bool:
        """Whether no plan is much better than the best, all being at least at ``bound``."""
        return self.problem.loss(self.best) * (1 - GAP) <= bound + _TOLERANCE

    def integer(self) -> tuple[Positions | None, float]:
        """Return the best plan under the constraints so far, and a lower bound of its predicted loss."""
        integral = np.concatenate([np.ones(self.options), np.zeros(self.columns - self.options)])
        with without_debug_lines():
            found = highs(
                self.objective,
                integrality=integral,
                bounds=Bounds(*self.bounds()),
                constraints=[
                    LinearConstraint(self.equal, self.equal_to, self.equal_to),
                    LinearConstraint(sparse.vstack(self.rows), -np.inf, self.limits),
                ],
                options={"mip_rel_gap": GAP / 2, "node_limit": _NODES},
            )
        if found.x is None:
            return None, np.inf
        return self.rounded(found.x), found.mip_dual_bound

    def rounded(self, solution: np.ndarray) -> Positions:
        """Return the plan of a solution: of a mixture of options the mean one."""
        option = np.arange(self.options) - self.problem.first[self.problem.group]
        mean = np.bincount(self.problem.group, solution[: self.options] * option, self.groups)
        return np.clip(np.rint(mean).astype(int), 0, self.problem.narrowest)

    def take(self, plan: Positions) -> None:
        """Keep a plan that holds the budgets if it is new and better."""
        if self.problem.fits(plan) and self.problem.loss(plan) < self.problem.loss(self.best):
            self.best = plan

    def repaired(self, plan: Positions) -> Positions:
        """Return a plan near one that breaks a budget that holds them all."""
        return exchange(self.problem, give_back(self.problem, greedy.descend(self.problem, plan)))


class _Surface:
    """One budget relative to its limit: what single groups decide as a table, and what pairs decide."""

    def __init__(self, problem: Problem, budget: Budget) -> None:
        cost, scale = budget.cost, max(budget.limit, _TOLERANCE)
        alone = np.diagonal(cost.quadratic)
        self.pairs = (cost.quadratic - np.diag(alone)) / scale
        self.table = (cost.linear[problem.group] + alone[problem.group] * problem.kept) * problem.kept / scale
        """Cost of each option by itself."""
        self.limit = (budget.limit - cost.constant) / scale

    def tangent(self, kept: np.ndarray) -> tuple[np.ndarray, float]:
        """Return slope and limit of the pairs' tangent at ``kept``, over the logarithms of the shares."""
        slope = 2 * kept * (self.pairs @ kept)
        return slope, self.limit - float(kept @ self.pairs @ kept) + float(slope @ np.log(kept))

    def excess(self, alone: float, kept: np.ndarray) -> float:
        """Return how far a cost is above the limit, relative to it."""
        return float(alone + kept @ self.pairs @ kept - self.limit)
