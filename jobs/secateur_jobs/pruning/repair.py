"""From widths to a net that is narrower for good: choose channels, prove the cut, repair what stays.

Repair takes no labels and no training. ``repair_weights`` runs between the choice of channels and the cut, on
the uncut net, and changes the layers that read removed channels. Batch normalisations are recalibrated after
the cut (:func:`secateur_jobs.training.batchnorm.recalibrate`): their statistics are those of the cut net.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import InputSpec, Repair
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria import Criterion, choose_channels
from secateur_jobs.pruning.engine import ChannelGroup, Keep, PruningEngine
from secateur_jobs.pruning.layers import CONVOLUTIONS, named_layers
from secateur_jobs.pruning.least_squares import fit
from secateur_jobs.pruning.observation import LARGEST_GRAM, Consumer, Observation, consumers_of, observe
from secateur_jobs.pruning.proof import check, runnable_samples
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


@dataclass
class Repaired:
    """What was done to which layer."""

    fitted: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Layer to the reason why it was left alone."""


def repair_weights(
    net: paddle.nn.Layer,
    groups: Sequence[ChannelGroup],
    keep: Keep,
    samples: Calibration,
) -> Repaired:
    """Change the consumers of the channels that ``keep`` removes, so that they miss them less.

    Call it on the uncut net, before ``PruningEngine.cut(keep)``. The labels of ``samples`` are not looked at,
    and the fit sees the inputs of the *uncut* net (kept channels behind a layer normalisation that loses
    some: as that will give them). The net is left in evaluation mode.
    """
    result = Repaired()
    consumers = consumers_of(net, groups, keep)
    if not consumers:
        return result
    shared = _shared_weights(net)
    consumers = [c for c in consumers if _may_change(c, shared, result)]
    seen = observe(net, groups, keep, consumers, samples.batches)
    unseen = "it did not run, or by keywords, or not in the same way with other values"
    result.skipped |= {c.name: unseen for c in consumers if c.name not in seen}
    for consumer in consumers:
        if consumer.name in seen:
            _rewrite(consumer, seen[consumer.name], result)
    return result


def _may_change(consumer: Consumer, shared: set[str], result: Repaired) -> bool:
    if any(getattr(consumer.layer, name).name in shared for name, _ in consumer.weights):
        result.skipped[consumer.name] = "another layer uses its weight"
        return False
    if isinstance(consumer.layer, CONVOLUTIONS) and consumer.layer._groups > 1:
        result.skipped[consumer.name] = "it is a grouped convolution"
        return False
    return True


def _rewrite(consumer: Consumer, seen: Observation, result: Repaired) -> None:
    """Set the weights of removed channels to zero, and fit those of the kept ones where that is better."""
    for parameter, axis in consumer.weights:
        tensor = getattr(consumer.layer, parameter)
        moved = np.moveaxis(tensor.numpy().astype(np.float64), axis, 0)
        rows = moved.reshape(len(moved), -1)
        fitted = None
        if seen.fitted is not None and seen.held_out is not None:
            fitted = fit(*_regressed(consumer, rows), seen.fitted, seen.held_out)
        rows[~consumer.keep] = 0
        if fitted is not None:
            rows[consumer.keep] = fitted
            result.fitted = list(dict.fromkeys([*result.fitted, consumer.name]))
        elif consumer.name not in result.skipped:
            wide = f"it has more than {LARGEST_GRAM} input channels"
            wide += " (kept ones behind a layer normalisation that is cut count twice)" * consumer.renormed
            result.skipped[consumer.name] = wide if seen.fitted is None else "no fit is better than none"
        tensor.set_value(np.moveaxis(rows.reshape(moved.shape), 0, axis).astype(tensor.numpy().dtype))


def _regressed(consumer: Consumer, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what each channel of a consumer's observation contributes, and which of them stay."""
    keep = consumer.keep
    if not consumer.renormed:
        return rows, keep
    # what kept channels were more than they will be is lost like the removed ones
    return np.concatenate([rows[keep], rows]), np.arange(keep.sum() + len(keep)) < keep.sum()


def _shared_weights(net: paddle.nn.Layer) -> set[str]:
    """Return the Paddle names of parameters that several layers use (an LSTM and its own cells are one)."""
    owners = Counter(
        parameter.name
        for layer in named_layers(net).values()
        if not isinstance(layer, paddle.nn.RNNCellBase)
        for parameter in layer._parameters.values()
        if parameter is not None
    )
    return {name for name, count in owners.items() if count > 1}
