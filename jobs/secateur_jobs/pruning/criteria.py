"""Which units go first: one function per criterion, all of one form.

A criterion takes the net, a group and calibration data, and returns one score per unit of the group (a
channel, a head, a hidden unit ...), float64 or float32, shape [units]; the lowest go first. All layers that a
group couples have a say, and scores of different groups compare:

* of weights and activations (l1_norm, activation): each layer's scores are divided by their
  mean, and the layers' are averaged, so that every group has mean 1. A group of one layer is ordered as by
  the plain criterion.
* of the loss (taylor, fisher): estimates of one and the same loss, summed over the layers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from secateur_api.conditions import Reason
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.engine import ChannelGroup, Slice
from secateur_jobs.pruning.gradients import Gradients
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.pruning.readers import owners_by_layer, readers_of, sum_to_units, watched_layers
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.user_code import load_callable

Criterion = Callable[[paddle.nn.Layer, ChannelGroup, Calibration], np.ndarray]
_FIELD = "spec.pruning.criterion"


def criterion_function(name: str) -> Criterion:
    """Return a built-in criterion, or the user's ``module:callable(net, group, calibration)``.

    The user's raises InvalidInput if it raises or does not return ``group.channels`` finite scores.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    function = load_callable(name, _FIELD)

    def checked(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
        try:
            scores = np.asarray(function(net, group, calibration), np.float64)
        except RAISED as error:
            raise InvalidInput(
                Reason.FACTORY_FAILED, f"{_FIELD}: {name} raised {raised(error)} for {group.name}"
            ) from error
        if scores.shape != (group.channels,) or not np.isfinite(scores).all():
            raise InvalidInput(
                Reason.FACTORY_FAILED,
                f"{_FIELD}: {name} returned shape {list(scores.shape)} for {group.name}; expected "
                f"{group.channels} finite numbers, one per channel",
            )
        return scores

    return checked


def choose_channels(
    groups: list[ChannelGroup], widths: Mapping[str, int], criterion: Criterion, calibration: Calibration
) -> dict[str, np.ndarray]:
    """Return the masks that bring groups down to ``widths``; groups that keep their width are left out."""
    return {
        group.name: group.choose(criterion(calibration.net, group, calibration), widths[group.name])
        for group in groups
        if widths.get(group.name, group.channels) < group.channels
    }


def _fisher(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Group Fisher information of a mask on each unit: the estimated loss of removing it, to second order.

    Liu et al., "Group Fisher Pruning for Practical Network Compression", 2021, section 3.2: for each sample
    the gradient of the loss with respect to the mask, summed over positions and over all coupled consumers
    *before* it is squared, then the mean over samples. It needs labels and one backward sweep for all groups.
    """
    found = mask_gradients(net, group, calibration.gradients)
    return sum((np.square(draws).mean(axis=0) for draws in found), np.zeros(group.channels))


def mask_gradients(net: paddle.nn.Layer, group: ChannelGroup, gradients: Gradients) -> list[np.ndarray]:
    """Return arrays of [draws, units] of the gradient by one mask that all consumers of a unit share.

    The first is per sample, summed over positions, over the consumers whose input was seen, and over the
    layer normalisations that count the unit in their mean and variance. Where there are others (the
    recurrence of an LSTM), a second one is per batch: the sum of weight x gradient over the weights that
    multiply the unit, which is the sum of its samples' gradients, divided by the root of their number, so
    that its square stands for one sample's.
    """
    readers, unseen = readers_of(watched_layers(net), group)
    places = owners_by_layer(readers) + [(norm.layer, norm.owner) for norm in group.norms]
    seen = [(layer, owner) for layer, owner in places if layer in gradients.masks]
    slices = unseen + [p for p in group.slices_of("in") if p not in unseen and p.layer not in gradients.masks]
    found = []
    if seen:
        parts = [sum_to_units(gradients.masks[layer], owner, group.channels) for layer, owner in seen]
        found.append(np.sum(parts, axis=0))
    if slices:
        found.append(_per_batch(slices, group.channels, gradients))
    return found


def _per_batch(slices: list[Slice], units: int, gradients: Gradients) -> np.ndarray:
    rows = np.zeros((len(gradients.weights), units))
    for batch, (products, size) in enumerate(zip(gradients.weights, gradients.batch_sizes, strict=True)):
        for piece in slices:
            product = products.get((piece.layer, piece.parameter, piece.axis))
            if product is not None:  # None: the layer did not run
                rows[batch] += np.sqrt(size) * sum_to_units(product, piece.owner, units)
    return rows


def _taylor(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Squared sum of weight x gradient over each unit's weights: the estimated loss of removing it.

    Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019, equation 8, per filter,
    averaged over calibration batches and summed over all layers that produce the unit.
    """
    scores = np.zeros(group.channels)
    batches = calibration.gradients.weights
    for products in batches:
        by_layer: dict[str, np.ndarray] = {}
        for piece in group.slices_of("out"):
            product = products.get((piece.layer, piece.parameter, piece.axis))
            if product is not None:
                sums = by_layer.setdefault(piece.layer, np.zeros(group.channels))
                sums += sum_to_units(product, piece.owner, group.channels)
        scores += sum((np.square(sums) for sums in by_layer.values()), np.zeros(group.channels))
    return scores / len(batches)


def _activation(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Mean absolute activation, as the layers that consume the unit receive it, on calibration samples.

    Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference", 2017, section
    2.2 ("Activation"). Relative to the consumer's mean, averaged over the consumers. A consumer whose input
    cannot be seen (the recurrence of an LSTM) has no say; without any other the scores are equal.
    """
    readers, _ = readers_of(watched_layers(net), group)
    received = [
        relative(sum_to_units(calibration.mean_inputs[layer], owner, group.channels))
        for layer, owner in owners_by_layer(readers)
        if layer in calibration.mean_inputs
    ]
    return np.asarray(np.mean(received, axis=0)) if received else np.ones(group.channels)


def _l1_norm(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Mean absolute weight of each unit's filters, in every layer that produces it.

    Li et al., "Pruning Filters for Efficient ConvNets", 2017, section 3.1. Relative to the layer's mean,
    averaged over the layers; a group of one layer is ordered as by PaddleSlim's L1NormFilterPruner.
    """
    return mean_over_layers(filters_of(net, group), lambda rows: np.mean(np.abs(rows), axis=1))


def filters_of(net: paddle.nn.Layer, group: ChannelGroup) -> list[np.ndarray]:
    """Return each producing weight, the leader's first, one row per unit: [units, weights of a unit].

    Biases are left out. A unit of several positions (the rows of a head) is their concatenation.
    """
    layers = named_layers(net)
    pieces = sorted(group.slices_of("out"), key=lambda piece: piece.layer != group.producers[0])
    weights = [(piece, getattr(layers[piece.layer], piece.parameter).numpy()) for piece in pieces]
    return [_rows(weight, piece, group.channels) for piece, weight in weights if weight.ndim > 1]


def _rows(weight: np.ndarray, piece: Slice, units: int) -> np.ndarray:
    filters = np.moveaxis(weight, piece.axis, 0).reshape(weight.shape[piece.axis], -1)
    positions = np.argsort(piece.owner, kind="stable")[(piece.owner < 0).sum() :]
    counts = np.bincount(piece.owner[positions], minlength=units)
    rank = np.arange(len(positions)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.zeros((units, int(counts.max()), filters.shape[1]), filters.dtype)
    rows[piece.owner[positions], rank] = filters[positions]
    return rows.reshape(units, -1)


def mean_over_layers(filters: Sequence[np.ndarray], score: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Score each layer's filters [units, weights] by itself, and average the layers' relative scores."""
    return np.asarray(np.mean([relative(score(rows)) for rows in filters], axis=0))


def relative(scores: np.ndarray) -> np.ndarray:
    """Divide by the mean, which no order changes; all zeros stay."""
    mean = float(np.mean(scores, dtype=np.float64))
    return np.asarray(scores, np.float64) / (mean if mean > 0 else 1.0)


def _random(net: paddle.nn.Layer, group: ChannelGroup, calibration: Calibration) -> np.ndarray:
    """Scores as a control, evenly spread over 0..1: what a criterion is worth is what it gains over them.

    The seed and the group's name decide.
    """
    return np.random.default_rng([calibration.seed, zlib.crc32(group.name.encode())]).random(group.channels)


_BUILT_IN: dict[str, Criterion] = {
    "fisher": _fisher,
    "taylor": _taylor,
    "activation": _activation,
    "l1_norm": _l1_norm,
    "random": _random,
}
