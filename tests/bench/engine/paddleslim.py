"""PaddleSlim as its users run it: L1 norm, a plan or one ratio for all, then training with labels."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import slim
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.train import train
from tests.bench.engine.baseline import Baseline
from tests.bench.engine.result import Result
from tests.bench.engine.timing import speedup_of
from tests.jobs.rebuilding import rebuilt

TARGET = 0.5
DATA_FRACTION, EPOCHS, BATCH_SIZE = 0.2, 2, 32
_RATE_SHARES = (1.0, 0.2)
"""Learning rates that are tried, as shares of the baseline's; the better one counts."""
_HALVINGS = 12
_LADDER = [0.3 + 0.05 * step for step in range(12)]

Prune = Callable[[Any, Baseline], dict[str, float]]
"""Cuts the pruner's net for good; returns what is to be told of the sensitivity."""


def run(prune: Prune, base: Baseline) -> Result:
    """Prune, then fine-tune once for each learning rate, from the same weights."""
    net = base.net()
    pruner = slim.module("dygraph.prune.l1norm_pruner").L1NormFilterPruner(
        net, base.case.model.inputs[0].shape
    )
    told = prune(pruner, base)
    pruned = checkpoint.to_bytes(net, base.case.model)
    raw = base.evaluate(net)
    tuned = {share: _fine_tuned(pruned, base, share) for share in _RATE_SHARES}
    finals = {share: base.evaluate(tuned[share]) for share in tuned}
    best = max(finals, key=lambda share: finals[share])
    return Result(
        baseline=base.metric,
        raw=raw,
        final=finals[best],
        cut=base.cut_of(tuned[best]),
        speedup=speedup_of(base, tuned[best]),
        sensitivity_seconds=told.get("seconds"),
        evaluations=int(told["evaluations"]) if "evaluations" in told else None,
        details={f"final at {share:g} x the learning rate": final for share, final in finals.items()},
    )


def _fine_tuned(pruned: bytes, base: Baseline, rate_share: float) -> paddle.nn.Layer:
    net = rebuilt(pruned)
    seed_everything(base.seed)
    train(
        net,
        base.splits.train,
        base.case.evaluation,
        epochs=EPOCHS,
        learning_rate=rate_share * base.learning_rate,
        batch_size=BATCH_SIZE,
        fraction=DATA_FRACTION,
        seed=base.seed,
    )
    return net


def sensitive_aligned(pruner: Any, base: Baseline) -> dict[str, float]:
    """Prune by ``sensitive()`` and ``sensitive_prune(0.5, align=8)``."""
    told = _sensitive(pruner, base)
    pruner.sensitive_prune(TARGET, skip_vars=[], align=8)
    return told


def sensitive(pruner: Any, base: Baseline) -> dict[str, float]:
    """Prune by ``sensitive()`` and ``sensitive_prune(0.5)``."""
    told = _sensitive(pruner, base)
    pruner.sensitive_prune(TARGET, skip_vars=[])
    return told


def uniform(pruner: Any, base: Baseline) -> dict[str, float]:
    """Prune all dense convolutions by the one ratio that cuts half of the MACs."""
    names = _dense(pruner)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        plan = pruner.prune_vars(dict.fromkeys(names, middle), 0)
        is_enough = base.cut_of(pruner.model) >= TARGET
        plan.restore(pruner.model)
        low, high = (low, middle) if is_enough else (middle, high)
    pruner.prune_vars(dict.fromkeys(names, high), 0)
    return {}


def as_fast(pruner: Any, base: Baseline) -> dict[str, float]:
    """Prune by ``sensitive_prune(..., align=8)``, ever more until it is as fast as ours must be."""
    told = _sensitive(pruner, base)
    for target in _LADDER:
        pruner.sensitive_prune(target, skip_vars=[], align=8)
        if speedup_of(base, pruner.model) >= base.case.speedup:
            return told
    raise SystemExit(f"no target up to {_LADDER[-1]:g} is {base.case.speedup:g} times as fast")


def _dense(pruner: Any) -> list[str]:
    return [
        layer.weight.name
        for layer in pruner.model.sublayers()
        if isinstance(layer, paddle.nn.Conv2D) and layer._groups == 1
    ]


def _sensitive(pruner: Any, base: Baseline) -> dict[str, float]:
    """Let PaddleSlim measure the curves, or take those that it has measured; returns seconds and points."""
    file = base.home / "paddleslim" / f"{base.name}.pickle"
    told = file.with_suffix(".json")
    if not told.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)  # of an interrupted run: its seconds are not known
        begin = time.perf_counter()
        found = pruner.sensitive(
            eval_func=lambda: base.evaluate(pruner.model), sen_file=str(file), skip_vars=[]
        )
        seconds = time.perf_counter() - begin
        points = sum(len(losses) for losses in found.values())
        told.write_text(json.dumps({"seconds": seconds, "evaluations": points}))
    else:
        pruner.sensitive(sen_file=str(file), skip_vars=[])
    known: dict[str, float] = json.loads(told.read_text())
    return known


ARMS: dict[str, Prune] = {
    "PaddleSlim sensitive, align 8": sensitive_aligned,
    "PaddleSlim sensitive": sensitive,
    "PaddleSlim uniform": uniform,
    "PaddleSlim sensitive, as fast": as_fast,
}
