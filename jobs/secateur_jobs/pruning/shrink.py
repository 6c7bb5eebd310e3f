"""From widths to a net that is narrower for good: choose channels, prove the cut, repair what stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from secateur_api.conditions import Reason
from secateur_api.spec import InputSpec, Repair
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria.select import Criterion, choose_channels
from secateur_jobs.pruning.engine import PruningEngine
from secateur_jobs.pruning.proof import check, runnable_samples
from secateur_jobs.pruning.repair.weights import Repaired, repair_weights
from secateur_jobs.runtime.errors import StageError
from secateur_jobs.training.batchnorm import recalibrate

_BATCH_SIZE = 64


def shrink(
    engine: PruningEngine,
    widths: Mapping[str, int],
    inputs: Sequence[InputSpec],
    criterion: Criterion,
    calibration: Calibration,
    repair: Repair,
    on_cut: Callable[[], None] | None = None,
) -> Repaired:
    """Bring ``engine.net`` to ``widths`` (by group) in place, and repair what is left, without any label.

    ``calibration`` is of that net and of training data; repair looks at ``repair.samples`` of the same data.
    ``on_cut`` is called while the net is cut and nothing is repaired. The engine is spent afterwards.

    Raises InvalidInput if a criterion of the user's fails, StageError (INTERNAL_ERROR) if the cut is not
    exact.
    """
    net, data, seed = calibration.net, calibration.dataset, calibration.seed
    keep = choose_channels(engine.groups, widths, criterion, calibration)
    fault = check(engine, keep, runnable_samples(net, list(inputs)))
    if fault is not None:
        raise StageError(Reason.INTERNAL_ERROR, f"this cut is not exact: {fault}")
    if on_cut is not None:
        engine.cut(keep)
        on_cut()
        engine.restore()
    repaired = Repaired()
    if repair.least_squares:
        samples = Calibration(net, data, calibration.evaluation, seed, repair.samples)
        repaired = repair_weights(net, engine.groups, keep, samples)
    engine.cut(keep)
    engine.freeze()
    if repair.batch_norm:
        size = min(repair.samples, _BATCH_SIZE)
        recalibrate(net, data, repair.samples // size, size, seed)
    return repaired
