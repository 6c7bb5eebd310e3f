"""Which widths a round cuts to: the plans that allocation proposes, and the best of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from secateur_api.results import CurveTable, GroupTable, LatencyTable, PreflightOutcome
from secateur_api.stage import RoundRequest
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.allocation.search import Search
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.cost_of_net import cost_models
from secateur_jobs.pruning.criteria.select import choose_channels, criterion_function
from secateur_jobs.pruning.curves import curves_of
from secateur_jobs.pruning.engine import PruningEngine
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.latency_of_net import latency_model
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.plan import search_of
from secateur_jobs.pruning.repair.weights import repair_weights
from secateur_jobs.runtime.context import StageContext
from secateur_jobs.training.batching import Part
from secateur_jobs.training.batchnorm import recalibrate
from secateur_jobs.training.drift import drift
from secateur_jobs.training.evaluate import mean_loss

_BATCHES = 8
_BATCH_SIZE = 64
_SAMPLES = 1024
"""Most samples that candidates are compared on."""


@dataclass(frozen=True)
class Origin:
    """What every round of a job starts from."""

    table: GroupTable
    preflight: PreflightOutcome
    net: paddle.nn.Layer
    """The unpruned net."""
    labels: np.ndarray
    """Those of a sample, see ``make_engine``."""


def search_for(
    context: StageContext, origin: Origin, request: RoundRequest, now: Mapping[str, int]
) -> Search:
    """Return the plans of this round, the predicted one first; ``now`` is the width of each group."""
    spec = context.request.spec
    engine = make_engine(spec.pruning.engine, origin.net, spec.model.inputs, origin.labels)
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
    curves = curves_of(points)
    return search_of(origin.table.groups, now, spec.pruning, request.share, curves, costs, spec.seed)


def best_of(
    context: StageContext,
    search: Search,
    engine: PruningEngine,
    calibration: Calibration,
    unpruned: paddle.nn.Layer,
    compared: paddle.io.Dataset,
) -> dict[str, int]:
    """Return the plan whose cut and repaired net has the least training loss; the net stays as it is.

    EagleEye (Li et al. 2020): what a cut net is worth after training shows once its running statistics are
    recomputed, and hardly before. Measured on up to 1024 items of ``compared``; the evaluation set is for the
    verdict.
    Outputs that the metric does not judge count by how far they are from the ``unpruned`` net's.
    """
    if search.count == 1:
        return search.first
    spec = context.request.spec
    train, seed = calibration.dataset, calibration.seed
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(compared))[:_SAMPLES]
    subset = Part(compared, np.sort(chosen))
    samples = Calibration(engine.net, train, spec.evaluation, seed, spec.pruning.repair.samples)
    criterion = criterion_function(spec.pruning.criterion)
    for number, plan in enumerate(search, 1):
        context.progress(5 + 3 * number / search.count, f"try plan {number}/{search.count}")
        keep = choose_channels(engine.groups, plan, criterion, calibration)
        with _restored(engine):
            if spec.pruning.repair.least_squares:
                repair_weights(engine.net, engine.groups, keep, samples)
            engine.cut(keep)
            recalibrate(engine.net, train, _BATCHES, _BATCH_SIZE, seed)
            moved = drift(engine.net, unpruned, subset, spec.evaluation).error
            search.tell(mean_loss(engine.net, subset, spec.evaluation) + moved)
    return search.best


@contextmanager
def _restored(engine: PruningEngine) -> Iterator[None]:
    """Give the net its channels and values back at the end, bit for bit."""
    before = {name: tensor.numpy().copy() for name, tensor in engine.net.state_dict().items()}
    try:
        yield
    finally:
        engine.restore()
        for name, tensor in engine.net.state_dict().items():
            if name in before:
                tensor.set_value(before[name])
