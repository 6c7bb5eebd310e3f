"""Secateur's arms: the product's own stages, one round to the target, with parts changed or left out."""

from __future__ import annotations

from functools import partial
from typing import Any

from secateur_api.stage import RoundRequest, Stage, Upstream
from secateur_jobs import checkpoint
from secateur_jobs.pruning.layers import cuttable_layers, width
from secateur_jobs.user_code import build_model
from tests.bench.engine.baseline import Baseline, checkpoint_of
from tests.bench.engine.paddleslim import BATCH_SIZE, DATA_FRACTION, EPOCHS, TARGET
from tests.bench.engine.result import Result
from tests.bench.engine.stages import run_stage, unit_of
from tests.bench.engine.timing import speedup_of

Fields = dict[str, dict[str, Any]]
"""What an arm changes of the spec, by its top-level field."""

_PRUNING = {
    "engine": "native",
    "criterion": "fisher",
    "allocation": "greedy",
    "protect": {"first": 0.5, "last": 0.5},
    "align": 8,
    "repair": {"leastSquares": True},
    "schedule": {"rounds": 1, "step": 1},
}
_FINE_TUNE = {
    "dataFraction": DATA_FRACTION,
    "epochs": EPOCHS,
    "batchSize": BATCH_SIZE,
    "distillation": {"temperature": 4},
}
_NO_REPAIR = {"leastSquares": False, "batchNorm": False}

ARMS: dict[str, Fields] = {
    # the modes before exact: they would take its points where there are any
    "Secateur, fisher curves": {"sensitivity": {"mode": "fisher"}},
    "Secateur, bounded": {"sensitivity": {"mode": "bounded"}},
    "Secateur": {},
    "Secateur, criterion l1": {"pruning": {"criterion": "l1_norm"}},
    "Secateur, no repair": {"pruning": {"repair": _NO_REPAIR}},
    "Secateur, temperature 1": {"fineTune": {"distillation": {"temperature": 1}}},
    "Secateur, no distillation": {"fineTune": {"distillation": {"weight": 0}}},
}
MAIN = "Secateur"


def run(fields: Fields, base: Baseline) -> Result:
    """Run preflight, sensitivity and one round, and measure the net that comes out."""
    target = {"macs": f"{TARGET:.0%}", "latency": f"{1 - 1 / base.case.speedup:.1%}"}
    spec = base.spec(
        pruning={**_PRUNING, "target": target, **fields.get("pruning", {})},
        sensitivity=fields.get("sensitivity", {}),
        fineTune={**_FINE_TUNE, "learningRate": base.learning_rate, **fields.get("fineTune", {})},
    )
    upstream = Upstream(pretrain=base.pretrain)
    preflight = unit_of(run_stage(Stage.PREFLIGHT, spec, base.store, upstream))
    upstream = Upstream(pretrain=base.pretrain, preflight=preflight)
    measured = run_stage(Stage.SENSITIVITY, spec, base.store, upstream)
    upstream = upstream.model_copy(update={"sensitivity": [unit_of(measured)]})
    ended = run_stage(Stage.ROUND, spec, base.store, upstream, RoundRequest(number=1, share=1.0))
    points, outcome = measured.outcome.sensitivity, ended.outcome.round
    if points is None or outcome is None:
        raise SystemExit("a stage left no outcome")
    net = checkpoint.load(checkpoint_of(base.store, unit_of(ended)), partial(build_model, spec.model))
    is_fresh = points.measured == points.points
    return Result(
        baseline=base.metric,
        raw=outcome.metric_cut,
        repaired=outcome.metric_repaired,
        final=base.evaluate(net),
        cut=base.cut_of(net),
        speedup=speedup_of(base, net),
        sensitivity_seconds=measured.seconds if is_fresh else None,
        evaluations=points.points,
        details={name: width(layer) for name, layer in cuttable_layers(net).items()},
    )
