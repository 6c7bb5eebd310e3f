"""Sensitivity: PaddleSlim's ``sensitive()`` against ours, on the same checkpoint, data and cuts.

``python -m tests.bench.sensitivity [--repeats 2]``

A residual and a depthwise net for 12x12 digits, trained once. Each repeat runs the arms one after the
other: PaddleSlim's L1NormFilterPruner.sensitive() over its nine ratios; ``exact`` on the same cuts;
``bounded`` so that each cut is known to lie above or below a loss of 5 %; ``fisher``; and ``exact`` in four
shards, of which the slowest counts, in CPU seconds: the worst of four moments of a shared machine says little
about machines of their own. The baseline's metric, which a job has from preflight, is in no arm's seconds.
"same ratios": the largest ratio of each group whose loss is at most 5 % is PaddleSlim's.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from secateur_api.spec import Engine, Evaluation, InputSpec, Sensitivity
from secateur_jobs.data.digits import splits
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import slim
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria import filters_of
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.pruning.sensitivity import bounded, exact, modes
from secateur_jobs.pruning.sensitivity.points import deal
from secateur_jobs.pruning.sensitivity.replay import behind
from secateur_jobs.pruning.sensitivity.sweep import Cut, Sweep
from secateur_jobs.training.batching import ArrayDataset
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.train import train
from secateur_jobs.zoo.digits import residual_net

_SIZE = 12
_INPUTS = [InputSpec(name="image", shape=[1, 1, _SIZE, _SIZE])]
_EVALUATION = Evaluation(batch_size=128)
_THRESHOLD = 0.05
_SHARDS = 4
nn = paddle.nn

Losses = dict[tuple[str, float], float]
"""Group and ratio to the relative drop."""


def depthwise_net() -> nn.Layer:
    """Return a small MobileNetV1-like net for ``_SIZE`` x ``_SIZE`` grey images."""
    layers: list[nn.Layer] = []
    inside = 1
    for outside, stride, spread in (
        (16, 1, False),
        (32, 1, True),
        (32, 2, True),
        (64, 1, True),
        (64, 2, True),
    ):
        if spread:
            layers += [
                nn.Conv2D(inside, inside, 3, stride=stride, padding=1, groups=inside, bias_attr=False),
                nn.BatchNorm2D(inside),
                nn.ReLU(),
            ]
        kernel, padding = (1, 0) if spread else (3, 1)
        layers += [
            nn.Conv2D(inside, outside, kernel, padding=padding, bias_attr=False),
            nn.BatchNorm2D(outside),
            nn.ReLU(),
        ]
        inside = outside
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(inside, 10))


@dataclass
class Case:
    """A trained net and PaddleSlim's cuts of it."""

    net: nn.Layer
    train: ArrayDataset
    data: ArrayDataset
    cuts: list[Cut]

    def few(self) -> ArrayDataset:
        """Return a few samples, to see which groups PaddleSlim measures (and to warm up)."""
        return ArrayDataset([column[:16] for column in self.data.arrays])


def trained(build: Callable[[], nn.Layer], epochs: int) -> Case:
    """Train a net and list PaddleSlim's cuts: its nine ratios, the filters of the leader by their L1 norm."""
    paddle.seed(0)
    data = splits(size=_SIZE, train_copies=4, eval_copies=7)
    net = build()
    train(net, data[0], _EVALUATION, epochs=epochs, learning_rate=0.004, batch_size=64)
    engine = make_engine(Engine.PADDLESLIM, net, _INPUTS)
    cuts = [_cut(net, group, round(0.1 * (i + 1), 2)) for group in engine.groups for i in range(9)]
    return Case(net, data[0], data[1], cuts)


def _cut(net: nn.Layer, group: ChannelGroup, ratio: float) -> Cut:
    norms = np.abs(filters_of(net, group)[0]).mean(axis=1)
    return Cut(group, ratio, group.choose(norms, group.channels - round(group.channels * ratio)))


def by_paddleslim(case: Case) -> tuple[Losses, Losses, float]:
    """Return PaddleSlim's losses, the metrics that it measured, by our groups' names, and its seconds."""
    metrics: list[float] = []
    begins: list[float] = []

    def measure() -> float:
        metrics.append(evaluate(case.net, case.data, _EVALUATION))
        begins.append(time.monotonic())  # of what follows: the first evaluation is the baseline's
        return metrics[-1]

    layers = named_layers(case.net)
    groups = {layers[cut.group.name].weight.name: cut.group.name for cut in case.cuts}
    pruners = slim.module("dygraph.prune.l1norm_pruner")
    with tempfile.TemporaryDirectory() as folder:
        pruner = pruners.L1NormFilterPruner(case.net, list(_INPUTS[0].shape))
        found = pruner.sensitive(
            eval_func=measure,
            sen_file=str(Path(folder) / "sen"),
            target_vars=list(groups),
            skip_vars=[],
        )
    seconds = time.monotonic() - begins[0]
    points = [(groups[name], round(float(ratio), 2)) for name, curve in found.items() for ratio in curve]
    losses = [float(loss) for curve in found.values() for loss in curve.values()]
    return dict(zip(points, losses, strict=True)), dict(zip(points, metrics[1:], strict=True)), seconds


def by_exact(case: Case, cuts: list[Cut]) -> Losses:
    """Return metrics."""
    with Sweep(case.net).open() as sweep:
        found = list(exact.measure(sweep, case.data, _EVALUATION, 1.0, cuts))
    return {(f.cut.group.name, f.cut.ratio): f.value for f in found}


def by_bounds(case: Case, baseline: float) -> Losses:
    """Return losses that lie on the right side of the threshold."""
    settings = Sensitivity(tolerance=_THRESHOLD, cap=_THRESHOLD)
    with Sweep(case.net).open() as sweep:
        found = bounded.race(
            sweep,
            case.data,
            _EVALUATION,
            bounded.scores_of(_EVALUATION),
            settings,
            case.cuts,
            baseline=baseline,
            comparisons=len(case.cuts),
            seed=0,
        )
        return {(f.cut.group.name, f.cut.ratio): f.loss for f in found}


def by_fisher(case: Case) -> Losses:
    """Return estimates."""
    calibration = Calibration(case.net, case.train, _EVALUATION)
    return {
        (cut.group.name, cut.ratio): modes.drop_of(modes.rise(case.net, cut, calibration))
        for cut in case.cuts
    }


def in_shards(case: Case) -> float:
    """Return the CPU seconds of the slowest of the shards, each run by itself."""
    points = [(cut.group.name, cut.ratio) for cut in case.cuts]
    cuts = dict(zip(points, case.cuts, strict=True))
    groups = {cut.group.name: cut.group.consumers for cut in case.cuts}
    depths = behind(case.net, groups, [column[: _EVALUATION.batch_size] for column in case.data.arrays[:-1]])
    slowest = 0.0
    for part in deal(points, depths, _SHARDS):
        mine = [cuts[point] for point in part]
        slowest = max(slowest, _timed(lambda mine=mine: by_exact(case, mine))[1])
    return slowest


def chosen(losses: Losses, points: list[tuple[str, float]]) -> dict[str, float]:
    """Return the largest ratio of each group whose loss is at most the threshold."""
    found = dict.fromkeys((name for name, _ in points), 0.0)
    for name, ratio in points:
        if losses[(name, ratio)] <= _THRESHOLD:
            found[name] = max(found[name], ratio)
    return found


def _timed(work: Callable[[], Losses]) -> tuple[float, float, Losses]:
    """Return wall seconds, CPU seconds and the result."""
    wall, cpu = time.monotonic(), time.process_time()
    result = work()
    return time.monotonic() - wall, time.process_time() - cpu, result


def measure(name: str, case: Case, repeats: int) -> str:
    """Return the table row of one net."""
    seconds: dict[str, list[float]] = {}
    equal, same = True, True
    led = {name for name, _ in by_paddleslim(replace(case, data=case.few()))[0]}
    baseline = evaluate(case.net, case.data, _EVALUATION)
    case = replace(case, cuts=[cut for cut in case.cuts if cut.group.name in led])
    for _ in range(repeats):
        reference, metrics, spent = by_paddleslim(case)
        seconds.setdefault("paddleslim", []).append(spent)
        points = list(reference)
        spent, cpu, found = _timed(lambda: by_exact(case, case.cuts))
        seconds.setdefault("exact", []).append(spent)
        seconds.setdefault("one shard", []).append(cpu)
        equal = equal and all(found[point] == metrics[point] for point in points)
        spent, _, bounds = _timed(lambda: by_bounds(case, baseline))
        seconds.setdefault("bounded", []).append(spent)
        same = same and chosen(bounds, points) == chosen(reference, points)
        spent, _, estimates = _timed(lambda: by_fisher(case))
        seconds.setdefault("fisher", []).append(spent)
        seconds.setdefault("shards", []).append(in_shards(case))
    order = spearmanr([estimates[p] for p in points], [reference[p] for p in points]).statistic

    def ratio(of: str, to: str) -> str:
        found = [a / b for a, b in zip(seconds[of], seconds[to], strict=True)]
        return f"{statistics.mean(found):.1f} ({min(found):.1f}..{max(found):.1f})"

    cells = [
        name,
        str(len(points)),
        f"{statistics.mean(seconds['paddleslim']):.1f}",
        ratio("paddleslim", "exact"),
        "all" if equal else "not all",
        ratio("paddleslim", "bounded"),
        "yes" if same else "no",
        ratio("paddleslim", "fisher"),
        f"{order:.2f}",
        ratio("one shard", "shards"),
    ]
    return "| " + " | ".join(cells) + " |"


_COLUMNS = [
    *("net", "points", "PaddleSlim s", "exact x", "metrics equal to the bit", "bounded x", "same ratios"),
    *("fisher x", "fisher's rank correlation", f"{_SHARDS} shards x"),
]


def main() -> None:
    """Train, measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    print(f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}")
    for name, build, epochs in (
        ("residual", lambda: residual_net(width=8), 4),
        ("depthwise", depthwise_net, 4),
    ):
        print(measure(name, trained(build, epochs), options.repeats), flush=True)


if __name__ == "__main__":
    main()
