"""Find what can be cut in a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from secateur._arguments import Inputs, input_specs, plain_errors
from secateur_api.results import Group as TableGroup
from secateur_api.spec import InputSpec, Protect, Pruning, Target
from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.macs import Counts, count
from secateur_jobs.pruning.survey import Survey, allowed, find
from secateur_jobs.pruning.widths import MAX_RATIO
from secateur_jobs.training.forward import eval_mode
from secateur_jobs.training.seeding import generators_kept

__all__ = ["Group", "Inspection", "inspect"]

FREE = Protect(first=MAX_RATIO, last=MAX_RATIO)
"""No layer is protected."""


@dataclass(frozen=True)
class Group:
    """Channels that can only be cut together."""

    name: str
    """Structured name of the leading layer (``net.named_sublayers()``)."""
    channels: int
    producers: tuple[str, ...]
    """Layers that make these channels, the leader first."""
    consumers: tuple[str, ...]
    """Layers that read them."""
    others: tuple[str, ...]
    """Layers between them, such as normalisations and depthwise convolutions."""

    @classmethod
    def of(cls, group: TableGroup) -> Group:
        """Return the same of the engine's table."""
        lists = (tuple(names) for names in (group.producers, group.consumers, group.others))
        return cls(group.name, group.channels, *lists)


@dataclass(frozen=True)
class Inspection:
    """What :func:`inspect` finds. Each group is proven by a cut that is undone."""

    groups: tuple[Group, ...]
    """The groups, in the order of their leaders in the network."""
    refused: dict[str, str]
    """Convolution and linear layers that cannot be cut, each with its reason."""
    macs: int
    """Multiply-accumulate operations of one forward pass at the declared shapes."""
    params: int
    """Trainable parameters that inference uses."""
    floor: int
    """The fewest MACs that a cut can leave; no group loses more than three quarters of its channels."""
    notes: tuple[str, ...] = ()
    """What was not checked, such as training that needs labels."""

    def __str__(self) -> str:
        lines = [
            f"{self.macs:,} MACs (at least {self.floor:,} stay), {self.params:,} parameters, "
            f"{len(self.groups)} groups"
        ]
        lines += [f"  {g.name}: {g.channels} channels, read by {', '.join(g.consumers)}" for g in self.groups]
        lines += [f"  {layer} stays: {reason}" for layer, reason in self.refused.items()]
        return "\n".join([*lines, *self.notes])


@plain_errors
def inspect(net: paddle.nn.Layer, inputs: Inputs) -> Inspection:
    """Find the groups of channels that can be cut in ``net``, and prove each; ``net`` is not changed.

    ``net`` is the uncut network, in dynamic mode and float32. ``inputs`` are those of its ``forward``.
    Raises ValueError if nothing can be cut or an input does not fit, and what ``forward`` raises.

    >>> import secateur
    >>> from paddle.vision.models import LeNet
    >>> found = secateur.inspect(LeNet(), [("image", (1, 1, 28, 28))])
    >>> found.groups[0].name, found.groups[0].channels, found.groups[0].consumers
    ('features.0', 6, ('features.3',))
    >>> found.refused
    {'fc.2': "its channels are the model's output (head layer)"}
    """
    specs = input_specs(inputs)
    pruning = Pruning(target=Target(macs="0%"), protect=FREE, align=1)
    with generators_kept(), eval_mode(net):
        counts = count(net, specs)
        found = look(net, specs, counts, pruning, [MAX_RATIO])
    return Inspection(
        groups=tuple(Group.of(group) for group in found.table.groups),
        refused={refused.layer: refused.reason for refused in found.table.refused},
        macs=counts.macs,
        params=counts.params,
        floor=round(counts.macs * (1 - (found.reachable.macs or 0.0))),
        notes=tuple(found.notes),
    )


def look(
    net: paddle.nn.Layer,
    inputs: list[InputSpec],
    counts: Counts,
    pruning: Pruning,
    ratios: Sequence[float],
    labels: NDArray[Any] | None = None,
) -> Survey:
    """Survey a network as preflight does; the size of its checkpoint is that of one that names no factory."""
    size = len(checkpoint.plain_bytes(net, inputs))
    return allowed(find(net, pruning.engine, inputs, labels), pruning, ratios, inputs, counts, size)
