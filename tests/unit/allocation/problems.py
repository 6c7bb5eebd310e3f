"""Allocation problems to solve: by hand, random, and as large as a real net."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from secateur_jobs.pruning.cost import CostModel, Part
from secateur_jobs.pruning.widths import Budget, Choice, Curve, Problem, choice

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def one_each(
    choices: Mapping[str, Choice], limit: float, fixed: Mapping[str, float] | None = None
) -> Problem:
    """Return a problem of groups that cost 100 each and know nothing of each other."""
    names = [*(fixed or {}), *choices]
    cost = CostModel(names, [Part(100, {name: 1}, {}) for name in names])
    return Problem(choices, fixed or {}, [Budget(cost, limit)])


@st.composite
def nets(draw: st.DrawFn, most: int = 7, aligns: Sequence[int] = (1, 4, 8)) -> Problem:
    """A chain of layers with random widths, curves (with noise), caps, alignment and one to three budgets."""
    count = draw(st.integers(1, most))
    align = draw(st.sampled_from(aligns))
    widths = draw(st.lists(st.integers(8, 96), min_size=count, max_size=count))
    names = [f"g{i}" for i in range(count)]
    budgets = []
    for _ in range(draw(st.integers(1, 3))):
        areas = draw(st.lists(st.sampled_from([1, 4, 16]), min_size=count + 1, max_size=count + 1))
        parts = [Part(widths[0] * 27 * areas[0], {names[0]: 1}, {})]
        for index, ((a, wa), (b, wb)) in enumerate(itertools.pairwise(zip(names, widths, strict=True)), 1):
            parts.append(Part(wa * wb * 9 * areas[index], {b: 1}, {a: 1}))
        parts.append(Part(widths[-1] * 10 * areas[-1], {}, {names[-1]: 1}))
        cost = CostModel(names, parts, draw(st.sampled_from([0, 500.0])))
        budgets.append(Budget(cost, (1 - draw(st.floats(0.05, 0.9))) * cost.total({})))
    choices = {}
    for name, width in zip(names, widths, strict=True):
        losses = draw(st.lists(st.floats(-0.1, 1), min_size=9, max_size=9))
        cap = draw(st.sampled_from([0.0, 0.1, 0.5, 0.75]))
        choices[name] = choice(width, width, cap, align, Curve(list(zip(RATIOS, losses, strict=True))))
    return Problem(choices, {}, budgets)


def large(groups: int, widths: int, targets: tuple[float, ...], seed: int) -> Problem:
    """Return a net of many groups with shortcuts, and targets of MACs, parameters and latency."""
    random = np.random.default_rng(seed)
    names = [f"g{i}" for i in range(groups)]
    # three quarters can go, so a group has this many widths
    channels = [8 * round(widths * 4 / 3 * random.choice([0.5, 0.75, 1.0])) for _ in names]
    parts: tuple[list[Part], ...] = ([], [], [])
    for i, name in enumerate(names):
        area = float(random.choice([0.5, 1, 2, 4]))
        sources = [(i - 1, 9)] if i else []
        if i > 4 and random.random() < 0.3:
            sources.append((int(random.integers(0, i)), 1))
        for j, kernel in sources:
            weights = channels[i] * channels[j] * kernel
            axes = {name: 1.0}, {names[j]: 1.0}
            parts[0].append(Part(weights * area, *axes))
            parts[1].append(Part(weights, *axes))
            parts[2].append(Part(weights * area * random.uniform(0.5, 2), *axes))
        parts[2].append(Part(50 * channels[i] * area, {name: 1.0}, {}))
    costs = [CostModel(names, one, 1000.0) for one in parts]
    choices = {}
    for name, width in zip(names, channels, strict=True):
        scale, bend = 10 ** random.uniform(-3, 0), random.uniform(1, 4)
        curve = Curve((r, scale * r**bend * random.normal(1, 0.2)) for r in RATIOS)
        choices[name] = choice(width, width, 0.75, 8, curve)
    budgets = [Budget(c, (1 - t) * c.total({})) for c, t in zip(costs, targets, strict=False)]
    return Problem(choices, {}, budgets)
