"""The layers that a cut takes inputs from, and what of their inputs stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup, Keep
from secateur_jobs.pruning.readers import readers_of, watched_layers


@dataclass(eq=False)
class Consumer:
    """A layer that reads channels which are removed, of one group or several."""

    name: str
    layer: paddle.nn.Layer
    keep: np.ndarray
    """Whether each of its input channels stays; bool."""
    renormed: bool = False
    """Whether a layer normalisation loses the removed channels, so that the kept ones get other values."""
    weights: list[tuple[str, int]] = field(default_factory=list)
    """(parameter, axis) of the weights that multiply its input, the axis along the input channels."""


def consumers_of(net: paddle.nn.Layer, groups: Sequence[ChannelGroup], keep: Keep) -> list[Consumer]:
    """Return the consumers of the groups that ``keep`` names, in the net's order."""
    layers = watched_layers(net)
    found: dict[str, Consumer] = {}
    for group in groups:
        for reader in readers_of(layers, group)[0] if group.name in keep else []:
            stays = (reader.owner < 0) | keep[group.name][np.maximum(reader.owner, 0)]
            consumer = found.get(reader.layer)
            if consumer is None:
                consumer = found[reader.layer] = Consumer(reader.layer, layers[reader.layer], stays)
            consumer.keep = consumer.keep & stays
            consumer.renormed |= bool(group.norms) and not stays.all()
            if (reader.parameter, reader.axis) not in consumer.weights:
                consumer.weights.append((reader.parameter, reader.axis))
    return [found[name] for name in layers if name in found and not found[name].keep.all()]
