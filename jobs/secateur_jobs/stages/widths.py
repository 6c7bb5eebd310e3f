"""Which widths a round cuts to: the plans that allocation proposes, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from secateur_api.results import CurveTable, GroupTable, LatencyTable, PreflightOutcome
from secateur_api.stage import RoundRequest
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.cost_of_net import cost_models
from secateur_jobs.pruning.criteria.select import choose_channels, criterion_function
from secateur_jobs.pruning.curves import curves_of
from secateur_jobs.pruning.engine import PruningEngine
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.latency_of_net import latency_model
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.plan import next_plans
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.training.batchnorm import recalibrate
from secateur_jobs.training.evaluate import evaluate, relative_drop

_BATCHES = 8
_BATCH_SIZE = 64
_SAMPLES = 1024
"""Training samples that candidates are compared on; the evaluation set stays out of the choice."""


@dataclass(frozen=True)
class Origin:
    """What every round of a job starts from."""

    table: GroupTable
    preflight: PreflightOutcome
    net: paddle.nn.Layer
    """The unpruned net."""


def plans_of(
    context: StageContext, origin: Origin, request: RoundRequest, now: Mapping[str, int]
) -> list[dict[str, int]]:
    """Return the plans of this round, the best predicted first; ``now`` is the width of each group."""
    spec = context.request.spec
    engine = make_engine(spec.pruning.engine, origin.net, spec.model.inputs)
    names = {group.name for group in origin.table.groups}
    groups = [group for group in engine.groups if group.name in names]
    counts = count(origin.net, spec.model.inputs)
    costs = cost_models(engine, groups, counts, origin.preflight.checkpoint_bytes, spec.model.inputs)
    if spec.pruning.target is not None and spec.pruning.target.latency is not None:
        table = context.store.unit_json(context.upstream("preflight"), "latency", LatencyTable)
        costs["latency"] = latency_model(origin.net, groups, counts, table)
    points = [
        point
        for unit in context.request.upstream.sensitivity
        for point in context.store.unit_json(unit, "curves", CurveTable).points
    ]
    return next_plans(origin.table.groups, now, spec.pruning, request.share, curves_of(points), costs)


def best_of(
    context: StageContext,
    plans: list[dict[str, int]],
    engine: PruningEngine,
    calibration: Calibration,
) -> dict[str, int]:
    """Return the plan whose cut net is best once its normalisations are recalibrated; the net stays as it is.

    EagleEye (Li et al. 2020): what a cut net is worth after training shows in the metric with recomputed
    running statistics, and hardly with those of the unpruned net. Measured on training samples.
    """
    if len(plans) == 1:
        return plans[0]
    spec = context.request.spec
    train, seed = calibration.dataset, calibration.seed
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(train))[:_SAMPLES]
    subset = paddle.io.Subset(train, sorted(int(i) for i in chosen))
    goal = spec.evaluation.goal
    whole = evaluate(engine.net, subset, spec.evaluation)
    criterion, drops = criterion_function(spec.pruning.criterion), []
    for index, plan in enumerate(plans):
        context.progress(5 + 3 * index / len(plans), f"try plan {index + 1}/{len(plans)}")
        keep = choose_channels(engine.groups, plan, criterion, calibration)
        drops.append(relative_drop(whole, _worth(context, engine, keep, train, subset, seed), goal))
    return plans[int(np.argmin(drops))]


def _worth(
    context: StageContext,
    engine: PruningEngine,
    keep: Mapping[str, np.ndarray],
    train: paddle.io.Dataset,
    subset: paddle.io.Dataset,
    seed: int,
) -> float:
    before = {name: tensor.numpy().copy() for name, tensor in engine.net.state_dict().items()}
    engine.cut(keep)
    try:
        recalibrate(engine.net, train, _BATCHES, _BATCH_SIZE, seed)
        return evaluate(engine.net, subset, context.request.spec.evaluation)
    finally:
        engine.restore()
        for name, tensor in engine.net.state_dict().items():
            if name in before:
                tensor.set_value(before[name])
