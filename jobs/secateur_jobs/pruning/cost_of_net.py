"""The cost models of a net: which weights shrink with which groups, from the groups' slices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from secateur_api.spec import InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.cost import CostModel, Part
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine
from secateur_jobs.pruning.layers import RECURRENT, named_layers
from secateur_jobs.pruning.macs import Counts
from secateur_jobs.pruning.products import product_parts

Axes = tuple[dict[str, float], dict[str, float]]
QUANTITIES = ("macs", "params", "size")
"""What is counted, without running anything on a device."""


@dataclass(frozen=True)
class Tensor:
    """A parameter or buffer of the uncut net with the share of its axes that is each group's."""

    name: str
    """Structured name of its layer."""
    attribute: str
    layer: paddle.nn.Layer
    value: paddle.Tensor
    axes: Axes

    @property
    def elements(self) -> int:
        return math.prod(self.value.shape)

    def macs(self, counts: Counts) -> int:
        """Return the multiply-accumulate operations that the weight takes part in."""
        of_layer = counts.layers.get(self.name, 0)
        if isinstance(self.layer, RECURRENT):  # each weight matrix once per sample and time step
            matrices = sum(math.prod(p.shape) for p in self.layer.parameters() if p.ndim == 2)
            return of_layer * self.elements // matrices if self.value.ndim == 2 else 0
        return of_layer if self.attribute == "weight" else 0


def cost_models(
    engine: PruningEngine,
    groups: Sequence[ChannelGroup],
    counts: Counts,
    checkpoint_bytes: int,
    inputs: list[InputSpec],
) -> dict[str, CostModel]:
    """Return the cost of each of :data:`QUANTITIES` of the engine's uncut net by its groups' widths.

    ``size`` is the checkpoint's, in bytes; ``counts`` are those at ``inputs``. At full width each equals what
    was counted; the checkpoint's header stays constant. The net stays as it is.
    """
    tensors = list(cut_tensors(engine.net, groups))
    whole = {"macs": counts.macs, "params": counts.params, "size": checkpoint_bytes}
    models = {}
    for quantity in QUANTITIES:
        sizes = [_size(t, quantity, counts) for t in tensors]
        parts = [Part(size, *t.axes) for t, size in zip(tensors, sizes, strict=True) if size]
        if quantity == "macs":
            parts += product_parts(engine, groups, counts, inputs)
        rest = whole[quantity] - sum(part.size for part in parts)
        models[quantity] = CostModel([g.name for g in groups], parts, rest)
    return models


def cut_tensors(net: paddle.nn.Layer, groups: Sequence[ChannelGroup]) -> Iterator[Tensor]:
    """Yield every parameter and buffer that shrinks with a group."""
    shares = _shares(groups)
    for name, layer in named_layers(net).items():
        for attribute, value in (*layer._parameters.items(), *layer._buffers.items()):
            axes = shares.get((name, attribute))
            if value is not None and axes is not None:
                yield Tensor(name, attribute, layer, value, axes)


def _size(tensor: Tensor, quantity: str, counts: Counts) -> int:
    if quantity == "size":
        return tensor.elements * int(tensor.value.element_size())
    if quantity == "params":
        is_counted = not tensor.value.stop_gradient and id(tensor.value) not in counts.unused
        return tensor.elements if is_counted else 0
    return tensor.macs(counts)


def _shares(groups: Sequence[ChannelGroup]) -> dict[tuple[str, str], Axes]:
    """Return for each cut tensor the share of its first and of its second axis that is each group's."""
    found: dict[tuple[str, str], Axes] = {}
    for group in groups:
        for piece in group.slices:
            axes = found.setdefault((piece.layer, piece.parameter), ({}, {}))
            owned = float((piece.owner >= 0).mean())
            mine = axes[min(piece.axis, 1)]
            mine[group.name] = mine.get(group.name, 0.0) + owned
    return found
