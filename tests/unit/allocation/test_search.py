"""The search over plans: it begins with what is predicted, and goes where the measured loss falls."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.spec import Allocation
from secateur_jobs.pruning.allocation.methods import METHODS, methods_of
from secateur_jobs.pruning.allocation.problem import Problem, choice
from secateur_jobs.pruning.allocation.search import Search
from secateur_jobs.pruning.curves import Curve
from tests.unit.allocation.problems import large, one_each


def search(problem: Problem, count: int, seed: int = 0) -> Search:
    return Search(problem, methods_of(Allocation.MILP), count, seed, settled={"ruled": 5})


def kept(problem: Problem, plan: dict[str, int]) -> np.ndarray:
    return np.array([plan[n] / c.channels for n, c in zip(problem.names, problem.choices, strict=True)])


def test_it_begins_with_the_predicted_the_uniform_and_the_greedy_plan():
    problem = large(20, 6, (0.5, 0.4, 0.3), seed=1)
    searched = search(problem, 3)
    plans = []
    for plan in searched:
        plans.append(plan)
        searched.tell(len(plans))
    expected = [METHODS[m](problem) for m in (Allocation.MILP, Allocation.UNIFORM, Allocation.GREEDY)]
    assert plans == [{"ruled": 5, **problem.widths(p)} for p in expected]
    assert searched.best == searched.first == plans[0]


def test_every_plan_is_new_and_holds_the_budgets():
    problem = large(20, 6, (0.5, 0.4, 0.3), seed=1)
    searched, seen = search(problem, 24), set()
    for plan in searched:
        shares = kept(problem, plan)
        assert all(b.cost.value(shares) <= b.limit for b in problem.budgets)
        seen.add(tuple(sorted(plan.items())))
        searched.tell(0.0)
    assert len(seen) == 24


@pytest.mark.parametrize("seed", range(5))
def test_it_finds_what_the_curves_do_not_say(seed):
    """The curves call half of the groups harmless that are not, and half harmful that are not."""
    names = "abcdefgh"
    flat, steep = Curve([(0.9, 0.0)]), Curve([(0.9, 3.0)])
    choices = {n: choice(64, 64, 0.9, 8, flat if n < "e" else steep) for n in names}
    problem = one_each(choices, 400)

    def truth(plan: dict[str, int]) -> float:
        return sum(1 - plan[n] / 64 for n in "abcd")

    searched = search(problem, 64, seed)
    for plan in searched:
        searched.tell(truth(plan))
    assert truth(searched.best) < 0.5 * truth(searched.first)


def test_a_loss_that_is_no_number_never_wins():
    searched, plans = search(large(8, 6, (0.5,), seed=1), 4), []
    for plan in searched:
        plans.append(plan)
        searched.tell(7.0 if len(plans) == 3 else float("nan"))
    assert searched.best == plans[2]


def test_the_same_losses_and_seed_give_the_same_plans():
    def run() -> list[dict[str, int]]:
        searched, plans = search(large(12, 6, (0.5, 0.4), seed=1), 12, seed=3), []
        for plan in searched:
            plans.append(plan)
            searched.tell(-float(sum(plan.values())))
        return plans

    assert run() == run()


def test_it_ends_when_there_is_nothing_new():
    option = choice(16, 16, 0.5, 8, Curve([(0.5, 0.1)]))
    searched = search(one_each({"a": option}, 50), 5)
    for plan in searched:
        assert plan == {"ruled": 5, "a": 8}
        searched.tell(1.0)
    assert searched.best == {"ruled": 5, "a": 8}


def test_where_nothing_is_open_the_settled_widths_are_the_plan():
    for method in METHODS.values():
        searched = Search(Problem({}, {"ruled": 0.5}, []), [method], 3, 0, {"ruled": 5})
        for _ in searched:
            searched.tell(1.0)
        assert searched.best == searched.first == {"ruled": 5}
