"""Repair the layers that read removed channels, before the cut is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.engine import ChannelGroup, Keep
from secateur_jobs.pruning.layers import CONVOLUTIONS, named_layers
from secateur_jobs.pruning.repair.consumers import Consumer, consumers_of
from secateur_jobs.pruning.repair.least_squares import fit
from secateur_jobs.pruning.repair.observation import LARGEST_GRAM, Observation, observe


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
