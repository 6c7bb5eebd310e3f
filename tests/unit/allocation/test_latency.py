"""Latency tables: what was measured on some narrowed nets holds for others."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_jobs.pruning.cost import CostModel, Part, Term, fit, model

GROUPS = [f"g{i}" for i in range(12)]
_KINDS = {"Conv2D": 2.0, "pointwise": 1.0, "depthwise": 6.0}


def net() -> tuple[list[Term], CostModel]:
    """Return the terms of a chain, and its true latency: layers depart from their kind, a tenth is fixed."""
    random = np.random.default_rng(0)
    terms, times = [], []
    for index, group in enumerate(GROUPS):
        kind = list(_KINDS)[index % 3]
        columns = {} if kind == "depthwise" or not index else {GROUPS[index - 1]: 1.0}
        macs, outputs = random.uniform(1, 4), random.uniform(0.1, 1)
        terms.append(Term(group, kind, macs, Part(1.0, {group: 1.0}, columns)))
        terms.append(Term(group, "output", outputs, Part(1.0, {group: 1.0}, {})))
        times += [macs * _KINDS[kind] * random.uniform(0.7, 1.4), outputs * random.uniform(0.7, 1.4)]
    scale = 0.9 / sum(times)
    parts = [Part(t * scale, one.part.rows, one.part.columns) for t, one in zip(times, terms, strict=True)]
    return terms, CostModel(GROUPS, parts, 0.1)


def narrowed(random: np.random.Generator) -> dict[str, float]:
    low = random.uniform(0.25, 0.9)
    return {group: float(random.uniform(low, 1)) for group in GROUPS}


@pytest.mark.parametrize(("noise", "most"), [(0.0, 0.02), (0.01, 0.03)])
def test_other_nets_are_predicted(noise: float, most: float) -> None:
    terms, truth = net()
    random = np.random.default_rng(1)
    seen = [narrowed(random) for _ in range(24)]
    fitted = fit(terms, seen, [truth.total(one) * random.normal(1, noise) for one in seen])
    predicted = model(GROUPS, terms, fitted)
    others = [narrowed(random) for _ in range(100)]
    errors = [predicted.total(one) - truth.total(one) for one in others]
    assert np.sqrt(np.mean(np.square(errors))) < most
    assert predicted.total({}) == pytest.approx(1, abs=0.03)
    assert predicted.margin < 2 * most  # and it says so itself
    assert (fitted.shares >= 0).all()


def test_one_rate_for_all_products_is_worse() -> None:
    """What MACs alone would predict: a depthwise layer costs many times its MACs."""
    terms, truth = net()
    random = np.random.default_rng(2)
    seen = [narrowed(random) for _ in range(24)]
    measured = [truth.total(one) for one in seen]
    macs = CostModel(GROUPS, [Part(t.amount, t.part.rows, t.part.columns) for t in terms[::2]])
    by_macs = [abs(macs.total(one) / macs.total({}) - t) for one, t in zip(seen, measured, strict=True)]
    assert fit(terms, seen, measured).error < np.mean(by_macs) / 2
