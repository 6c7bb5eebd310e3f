"""The gradient of the loss with respect to a mask on each unit of a group, as its consumers receive it."""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup, Slice
from secateur_jobs.pruning.gradients import Gradients
from secateur_jobs.pruning.readers import owners_by_layer, readers_of, sum_to_units, watched_layers


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
