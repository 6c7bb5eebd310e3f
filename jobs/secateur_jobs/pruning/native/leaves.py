"""The layers that a probe looks at: their kinds, and along which axis their channels run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import (
    CONVOLUTIONS,
    RECURRENT,
    ROOT,
    TRANSPOSED,
    channel_axis,
    is_depthwise,
    width,
)

nn = paddle.nn
_BATCH_NORMS = (nn.layer.norm._BatchNormBase, nn.BatchNorm)
_INSTANCE_NORM = nn.layer.norm._InstanceNormBase


class Kind(Enum):
    """How a layer treats channels."""

    DENSE = "dense"
    GROUPED = "grouped"
    DEPTHWISE = "depthwise"
    EMBEDDING = "embedding"
    RECURRENT = "recurrent"
    BATCH_NORM = "batch norm"
    INSTANCE_NORM = "instance norm"
    GROUP_NORM = "group norm"
    LAYER_NORM = "layer norm"
    PRELU = "prelu"
    LOOSE = "loose"
    """An axis of a parameter of a layer that is none of these (see ``loose``)."""
    OPAQUE = "opaque"
    """A layer of a known type, changed so that it cannot be cut: weight normalisation, projected LSTM ..."""


PRODUCERS = frozenset({Kind.DENSE, Kind.GROUPED, Kind.EMBEDDING, Kind.RECURRENT})
"""Their output channels are chosen freely: they compute them from all their inputs."""
_PARAMETERS = {
    Kind.BATCH_NORM: {"weight", "bias", "_mean", "_variance"},  # statistics are parameters in Paddle
    Kind.PRELU: {"_weight"},
    Kind.INSTANCE_NORM: {"scale", "bias"},
}


@dataclass(frozen=True, eq=False)
class Leaf:
    """A layer whose inputs are watched."""

    name: str
    layer: paddle.nn.Layer
    kind: Kind

    @property
    def is_producer(self) -> bool:
        """Whether its output channels can lead a group."""
        return self.kind in PRODUCERS

    @property
    def stops(self) -> bool:
        """Whether it returns fixed values during a probe, whatever goes in."""
        return self.is_producer or self.kind is Kind.OPAQUE

    @property
    def has_channels_out(self) -> bool:
        """Whether its output channels can be disturbed one by one."""
        return self.is_producer or self.kind is Kind.LOOSE

    @property
    def has_channels_in(self) -> bool:
        """Whether single input channels can be told apart."""
        return self.kind not in (Kind.OPAQUE, Kind.EMBEDDING, Kind.LOOSE)

    def channel_axis(self, ndim: int) -> int:
        """Return the axis of a tensor of ``ndim`` axes, input or output, along which the channels run."""
        return channel_axis(self.layer, ndim)

    @property
    def out_width(self) -> int:
        """Number of output channels of a producer; for both directions of a recurrent layer the same."""
        return width(self.layer)


def find_leaves(net: paddle.nn.Layer) -> list[Leaf]:
    """Return the leaves in the order of definition; a layer that has several names once, by its first."""
    leaves: list[Leaf] = []
    seen: set[int] = set()

    def walk(layer: paddle.nn.Layer, name: str) -> None:
        if id(layer) in seen:
            return
        seen.add(id(layer))
        kind = kind_of(layer)
        if kind is not None:
            leaves.append(Leaf(name or ROOT, layer, kind))
            return
        for child_name, child in layer._sub_layers.items():
            if child is not None:
                walk(child, f"{name}.{child_name}" if name else child_name)

    walk(net, "")
    return leaves


def kind_of(layer: paddle.nn.Layer) -> Kind | None:
    """Return how a layer treats channels, None for one that is only run."""
    kind = _kind_by_type(layer)
    if kind is None or kind is Kind.RECURRENT:
        projected = kind is Kind.RECURRENT and bool(getattr(layer, "proj_size", 0))
        return Kind.OPAQUE if projected else kind
    own = {name for name, parameter in layer._parameters.items() if parameter is not None}
    known = _PARAMETERS.get(kind, {"weight", "bias"})
    needs_weight = kind in PRODUCERS or kind is Kind.DEPTHWISE
    plain = own <= known and (not needs_weight or "weight" in own) and not layer._sub_layers
    return kind if plain else Kind.OPAQUE


def _kind_by_type(layer: paddle.nn.Layer) -> Kind | None:
    if isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        if int(layer._groups) == 1:
            return Kind.DENSE
        return Kind.DEPTHWISE if is_depthwise(layer) else Kind.GROUPED
    if isinstance(layer, nn.PReLU):
        return Kind.PRELU if int(layer._weight.shape[0]) > 1 else None
    for types, kind in _KINDS:
        if isinstance(layer, types):
            return kind
    return None


_KINDS = (
    (nn.Linear, Kind.DENSE),
    (nn.Embedding, Kind.EMBEDDING),
    (RECURRENT, Kind.RECURRENT),
    (_BATCH_NORMS, Kind.BATCH_NORM),
    (_INSTANCE_NORM, Kind.INSTANCE_NORM),
    (nn.GroupNorm, Kind.GROUP_NORM),
    (nn.LayerNorm, Kind.LAYER_NORM),
)
