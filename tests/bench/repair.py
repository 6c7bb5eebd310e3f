"""What each criterion and each repair is worth without any training: ``python -m tests.bench.repair``.

The same share of the units of every group is removed from a trained net, and the net is repaired on training
samples, without labels (the criteria of the loss use them). Figures are the accuracy kept, in percent of the
unpruned net's, on the evaluation set: mean over the seeds, and the least and the most of them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from secateur_api.spec import BUILT_IN_CRITERIA, Engine, Repair
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria import choose_channels, criterion_function
from secateur_jobs.pruning.engine import Keep, PruningEngine
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.repair import repair_weights
from secateur_jobs.training.batchnorm import recalibrate
from secateur_jobs.training.evaluate import evaluate
from tests.bench.baselines import EVALUATION, INPUTS, RECIPES, Baseline, baseline

NONE = {"least_squares": False, "batch_norm": False}
ARMS = {
    "none": NONE,
    "BN": {**NONE, "batch_norm": True},
    "LS": {**NONE, "least_squares": True},
    "LS+BN": {"least_squares": True, "batch_norm": True},
}
RATIOS = (0.3, 0.5)


def measure(base: Baseline, engine: PruningEngine, keep: Keep, settings: Repair, seed: int) -> float:
    """Return the accuracy kept by a cut and its repair; the net is as before afterwards."""
    with unchanged(base):
        samples = Calibration(base.net, base.data.train, EVALUATION, seed, settings.samples)
        if settings.least_squares:
            repair_weights(base.net, engine.groups, keep, samples)
        engine.cut(keep)
        try:
            if settings.batch_norm:
                recalibrate(base.net, base.data.train, settings.samples // 64, 64, seed)
            return evaluate(base.net, base.data.eval, EVALUATION) / base.metric
        finally:
            engine.restore()


@contextmanager
def unchanged(base: Baseline) -> Iterator[None]:
    """Put every weight and statistic back at the end."""
    state = {key: value.numpy().copy() for key, value in base.net.state_dict().items()}
    try:
        yield
    finally:
        base.net.set_state_dict(state)


def rows(name: str, seed: int, home: Path, criteria: list[str], engine_name: Engine) -> Iterator[tuple]:
    """Yield (ratio, criterion, arm, accuracy kept) of one baseline."""
    base = baseline(name, seed, home)
    engine = make_engine(engine_name, base.net, INPUTS)
    calibration = Calibration(base.net, base.data.train, EVALUATION, seed)
    for ratio in RATIOS:
        widths = {g.name: g.channels - round(g.channels * ratio) for g in engine.groups}
        for criterion in criteria:
            keep = choose_channels(engine.groups, widths, criterion_function(criterion), calibration)
            for arm, settings in ARMS.items():
                kept = measure(base, engine, keep, Repair(**settings), seed)
                yield ratio, criterion, arm, kept


def table(found: dict[tuple, list[float]], criteria: list[str]) -> str:
    """Return the Markdown table of one net."""
    lines = [f"| off | criterion | {' | '.join(ARMS)} |", f"| --- | --- |{' --- |' * len(ARMS)}"]
    for ratio in RATIOS:
        for criterion in criteria:
            cells = [_spread(found[(ratio, criterion, arm)]) for arm in ARMS]
            lines.append(f"| {ratio:.0%} | {criterion} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    low, mean, high = (100 * x for x in (min(values), statistics.mean(values), max(values)))
    return f"{mean:.1f} ({low:.0f}..{high:.0f})"


def main() -> None:
    """Measure and print one table for each net."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--criteria", nargs="*", default=list(BUILT_IN_CRITERIA))
    parser.add_argument("--engine", type=Engine, default=Engine.AUTO, choices=list(Engine))
    parser.add_argument("--home", type=Path, default=Path(".secateur/bench/baselines"))
    options = parser.parse_args()
    for name in options.nets:
        begin = time.monotonic()
        found: dict[tuple, list[float]] = {}
        for seed in range(options.seeds):
            for *key, kept in rows(name, seed, options.home, options.criteria, options.engine):
                found.setdefault(tuple(key), []).append(kept)
        metrics = [baseline(name, seed, options.home).metric for seed in range(options.seeds)]
        shown = ", ".join(f"{np.round(100 * metric, 1)}" for metric in metrics)
        print(f"\n{name}: baselines {shown} %; {time.monotonic() - begin:.0f} s\n")
        print(table(found, options.criteria), flush=True)


if __name__ == "__main__":
    main()
