"""The allocation methods side by side: ``python -m tests.bench.allocation [--seeds 3]``.

Solver: seconds and predicted loss on random nets as large as real ones (shortcuts, 3 targets at once). Net:
the digits residual net, its curves measured on half of the training set, cut by each method's plan to the
same MACs; the metric on the evaluation set after recalibration of the normalisations, without any training.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Mapping

from secateur_api.results import Group
from secateur_api.spec import Allocation, Engine, Evaluation, InputSpec, Pruning
from secateur_jobs.data.digits import splits
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.allocation import METHODS, planned_widths
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.cost_of_net import cost_models
from secateur_jobs.pruning.criteria import choose_channels, criterion_function
from secateur_jobs.pruning.engine import PruningEngine
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.widths import Curve
from secateur_jobs.training.batchnorm import recalibrate
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.train import train
from secateur_jobs.zoo.digits import residual_net
from tests.unit.allocation.problems import large

_SIZES = ((20, 16), (60, 16), (150, 32))
_TARGETS = (0.5, 0.45, 0.4)
_RATIOS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75)
_INPUTS = [InputSpec(name="image", shape=[1, 1, 16, 16])]
_METRIC = Evaluation()
_ALIGN = 4


def solvers(seeds: int) -> None:
    """Print seconds and predicted loss of each method on random nets."""
    print("| groups x widths | method | seconds | predicted loss over greedy's |\n| --- | --- | --- | --- |")
    for size in _SIZES:
        seconds: dict[Allocation, list[float]] = {method: [] for method in METHODS}
        losses: dict[Allocation, list[float]] = {method: [] for method in METHODS}
        for seed in range(seeds):
            problem = large(*size, _TARGETS, seed)
            for method, solve in METHODS.items():
                begin = time.perf_counter()
                plan = solve(problem)
                seconds[method].append(time.perf_counter() - begin)
                assert problem.fits(plan)
                losses[method].append(problem.loss(plan))
        for method in METHODS:
            print(
                f"| {size[0]} x {size[1]} | {method.value} | {statistics.mean(seconds[method]):.2f} "
                f"(at most {max(seconds[method]):.2f}) | {_over(losses[method], losses[Allocation.GREEDY])} |"
            )


def _over(losses: list[float], least: list[float]) -> str:
    return f"{statistics.mean(a / b for a, b in zip(losses, least, strict=True)):.3f}"


def on_a_net(seeds: int) -> None:
    """Print the metric of the cut and recalibrated net for each method."""
    print("\n| seed | baseline % | target | method | MACs cut % | recalibrated % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for seed in range(seeds):
        seed_everything(seed)
        net = residual_net(16)
        fitting, held = splits(size=16, seed=seed)
        train(net, fitting, _METRIC, epochs=3, learning_rate=2e-3, batch_size=64, seed=seed)
        recalibrate(net, fitting, 16, 64, seed)
        base = evaluate(net, held, _METRIC)
        engine = make_engine(Engine.AUTO, net, _INPUTS)
        samples = Calibration(net, fitting, _METRIC, seed)
        half = paddle.io.Subset(fitting, range(0, len(fitting), 2))
        curves = {group.name: _curve(engine, group.name, samples, half) for group in engine.groups}
        for target, method in itertools.product(("30%", "50%"), METHODS):
            cut, metric = _cut(engine, target, method, curves, samples, held)
            measured = f"{target} | {method.value} | {100 * cut:.1f} | {100 * metric:.1f}"
            print(f"| {seed} | {100 * base:.1f} | {measured} |", flush=True)


def _curve(engine: PruningEngine, name: str, samples: Calibration, dataset: paddle.io.Dataset) -> Curve:
    whole = evaluate(engine.net, dataset, _METRIC)
    channels = next(g.channels for g in engine.groups if g.name == name)
    points = []
    for ratio in _RATIOS:
        with _Cut(engine, {name: max(1, round(channels * (1 - ratio)))}, samples):
            points.append((ratio, 1 - evaluate(engine.net, dataset, _METRIC) / whole))
    return Curve(points)


def _cut(
    engine: PruningEngine,
    target: str,
    method: Allocation,
    curves: Mapping[str, Curve],
    samples: Calibration,
    held: paddle.io.Dataset,
) -> tuple[float, float]:
    """Return the share of MACs that is gone and the metric after recalibration, on ``held``."""
    groups = [
        Group(
            name=g.name,
            channels=g.channels,
            producers=list(g.producers),
            consumers=[],
            cap=0.75,
            step=g.step(_ALIGN),
        )
        for g in engine.groups
    ]
    counts = count(engine.net, _INPUTS)
    pruning = Pruning.model_validate(
        {"target": {"macs": target}, "align": _ALIGN, "allocation": method.value}
    )
    now = {g.name: g.channels for g in groups}
    costs = cost_models(engine, engine.groups, counts, 1, _INPUTS)
    plan = planned_widths(groups, now, pruning, 1, curves, costs)
    with _Cut(engine, plan, samples):
        recalibrate(engine.net, samples.dataset, 16, 64, 0)
        return 1 - count(engine.net, _INPUTS).macs / counts.macs, evaluate(engine.net, held, _METRIC)


class _Cut:
    """While it lasts, the net is cut to ``widths``; then all is as before, the running statistics as well."""

    def __init__(self, engine: PruningEngine, widths: Mapping[str, int], samples: Calibration) -> None:
        self._engine = engine
        self._keep = choose_channels(engine.groups, widths, criterion_function("l1_norm"), samples)

    def __enter__(self) -> None:
        self._before = {n: t.numpy().copy() for n, t in self._engine.net.state_dict().items()}
        self._engine.cut(self._keep)

    def __exit__(self, *_: object) -> None:
        self._engine.restore()
        for name, tensor in self._engine.net.state_dict().items():
            if name in self._before:
                tensor.set_value(self._before[name])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    solvers(arguments.seeds)
    on_a_net(arguments.seeds)
