"""The cost models of a net: what shrinks with which groups.

Weights shrink by the groups' slices. No weight says over which channels products outside layers, such as
attention's, run; so groups are cut, and what is left of each product is counted. For latency: what takes time
in a net, and which narrowed nets to measure to find out how much.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from secateur_api.results import LatencyTable
from secateur_api.spec import InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.cost import CostModel, Part, Term, fit, model
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine
from secateur_jobs.pruning.layers import RECURRENT, TRANSPOSED, is_depthwise, named_layers
from secateur_jobs.pruning.macs import Counts, count
from secateur_jobs.pruning.widths import MAX_RATIO, kept_width

Shares = dict[str, float]
_ROUNDING = 1e-9


def product_parts(
    engine: PruningEngine, groups: Sequence[ChannelGroup], counts: Counts, inputs: list[InputSpec]
) -> list[Part]:
    """Return the products of ``counts`` that shrink with any of ``groups``; the net stays as it is.

    ``counts`` are those of the engine's uncut net at ``inputs``. A product that shrinks along more than two
    axes is predicted by two of them.
    """
    shares: list[Shares] = [{} for _ in counts.products]
    if shares:
        _find(engine, groups, counts.products, inputs, shares)
    return [Part(size, *_axes(share)) for size, share in zip(counts.products, shares, strict=True) if share]


def _find(
    engine: PruningEngine,
    groups: Sequence[ChannelGroup],
    whole: Sequence[int],
    inputs: list[InputSpec],
    shares: list[Shares],
) -> None:
    """Note in ``shares`` which share of each product is each group's; halves without any are passed over."""
    keep = {group.name: group.choose(np.zeros(group.channels), (group.channels + 1) // 2) for group in groups}
    engine.cut(keep)
    try:
        left = count(engine.net, inputs).products
    finally:
        engine.restore()
    if left == whole or len(left) != len(whole):  # a forward that calls others when cut tells nothing
        return
    if len(groups) > 1:
        middle = len(groups) // 2
        for half in (groups[:middle], groups[middle:]):
            _find(engine, half, whole, inputs, shares)
        return
    gone = 1 - float(keep[groups[0].name].mean())
    for share, before, after in zip(shares, whole, left, strict=True):
        if after < before:
            share[groups[0].name] = (1 - after / before) / gone


def _axes(shares: Mapping[str, float]) -> tuple[Shares, Shares]:
    """Spread groups over two axes: those of one axis have all of it at most, a group on both has more."""
    axes: tuple[Shares, Shares] = ({}, {})
    for name, share in shares.items():
        wanted = [1.0, 1.0] if share > 1 + _ROUNDING else [share]
        for axis in axes:
            if wanted and sum(axis.values()) + wanted[0] <= 1 + _ROUNDING:
                axis[name] = wanted.pop()
    return axes


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


_SPREAD = 0.25
"""Most that a group's ratio differs from the net's."""


def latency_terms(net: paddle.nn.Layer, groups: Sequence[ChannelGroup], counts: Counts) -> list[Term]:
    """Return the products and the outputs of every layer that shrinks with a group."""
    terms = []
    for tensor in cut_tensors(net, groups):
        macs = tensor.macs(counts)
        if not macs:
            continue
        rows, columns = tensor.axes
        kind = type(tensor.layer).__name__
        if is_depthwise(tensor.layer):
            kind = "depthwise"
        elif tensor.value.ndim > 2 and max(tensor.value.shape[2:]) == 1:
            kind = "pointwise"
        terms.append(Term(tensor.name, kind, macs, Part(1.0, rows, columns)))
        axis = 1 if isinstance(tensor.layer, (paddle.nn.Linear, *TRANSPOSED)) else 0
        out, outputs = tensor.axes[axis], macs * int(tensor.value.shape[axis]) / tensor.elements
        terms.append(Term(tensor.name, "output", outputs, Part(1.0, out, {})))
    return terms


def latency_model(
    net: paddle.nn.Layer, groups: Sequence[ChannelGroup], counts: Counts, table: LatencyTable
) -> CostModel:
    """Return the latency of ``net`` by its groups' widths, as a share of its own uncut."""
    terms = latency_terms(net, groups, counts)
    names = [group.name for group in groups]
    kept = [{name: share for name, share in one.items() if name in names} for one in table.kept]
    return model(names, terms, fit(terms, kept, table.latency))


def sample_widths(groups: Sequence[ChannelGroup], align: int, count: int, seed: int) -> list[dict[str, int]]:
    """Return ``count`` plans that spread over what allocation may choose, in all and from group to group."""
    random = np.random.default_rng(seed)
    plans = []
    for index in range(count):
        whole = MAX_RATIO * (index + 0.5) / count
        ratios = np.clip(whole + random.uniform(-_SPREAD, _SPREAD, len(groups)), 0, MAX_RATIO)
        plans.append(
            {
                g.name: kept_width(g.channels, float(r), g.step(align))
                for g, r in zip(groups, ratios, strict=True)
            }
        )
    return plans
