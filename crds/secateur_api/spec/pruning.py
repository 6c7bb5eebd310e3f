"""What is cut, by which measure, in which steps, and how a cut is repaired."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

from pydantic import Field

from secateur_api.base import Contract, Rule
from secateur_api.quantity import parse_percent
from secateur_api.spec.types import Criterion, Percent, Ratio


class Target(Contract):
    """What to cut, as shares of the unpruned model's; all that are given must be reached."""

    macs: Percent | None = None
    """Multiply-accumulate operations to cut, such as ``50%``."""
    params: Percent | None = None
    """Parameters to cut, such as ``50%``."""
    size: Percent | None = None
    """Bytes of the checkpoint to cut, such as ``50%``; it holds parameters and running statistics."""
    latency: Percent | None = None
    """Latency to cut, as the first benchmark measures it: ``50%`` is a speed-up of 2x."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.macs) || has(self.params) || has(self.size) || has(self.latency)",
            "target needs at least one of macs, params, size and latency, such as {macs: 50%}",
            lambda s: bool(s.shares),
        ),
    )

    @property
    def shares(self) -> dict[str, float]:
        """The share to cut (0..1) of each quantity that is given, by the name of its field."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: parse_percent(text) for name, text in given.items() if text is not None}


class LayerRule(Contract):
    """A fixed ratio for the layers that a pattern matches."""

    match: Annotated[str, Field(min_length=1, max_length=253)]
    """fnmatch pattern over structured layer names (``layer1.*``)."""
    ratio: Ratio
    """Share of the output channels to cut; 0 leaves the layer alone."""


class Protect(Contract):
    """Caps on the ratio of the first and the last prunable layers; a rule in ``layers`` overrides them."""

    first: Ratio = 0.1
    """Largest ratio for the group of the first layer."""
    last: Ratio = 0.1
    """Largest ratio for the last group before the head."""


class Schedule(Contract):
    """Prune a little, recover, look."""

    rounds: Annotated[int, Field(ge=1, le=100)] = 6
    """Most rounds to run, those that are rolled back included."""
    step: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Most that one round may cut of the largest target: a share of the unpruned model's quantity (without a
    target, of the channels)."""
    min_step: Annotated[float, Field(gt=0, le=1)] = 0.02
    """A step halved below this ends the rounds; the nearest model is kept."""
    floor: Percent | None = None
    """Largest relative drop after a round's recovery; default: the ``accuracyDrop`` constraint, or 5%."""


class Engine(str, Enum):
    """Who finds the groups and cuts."""

    AUTO = "auto"
    NATIVE = "native"
    PADDLESLIM = "paddleslim"


class Allocation(str, Enum):
    """How the target is spread over the groups."""

    GREEDY = "greedy"
    UNIFORM = "uniform"


class Repair(Contract):
    """What is done to a cut model without labels, before any training."""

    least_squares: bool = True
    """Consumers are fitted to give what they gave with all channels (ridge regression on their inputs)."""
    batch_norm: bool = True
    """Running mean and variance of batch normalisations are computed anew."""
    samples: Annotated[int, Field(ge=1, le=1048576)] = 512
    """Training samples to look at."""


_SHARE = "has(self.target.{0}) ? self.target.{0} : '0%'"


class Pruning(Contract):
    """What is cut, by which measure, in which steps."""

    engine: Engine = Engine.AUTO
    """``native`` (groups found by probing), ``paddleslim`` (PaddleSlim's groups and plans) or ``auto``."""
    target: Target | None = None
    """What to cut in all, spread over the layers by sensitivity. Rules in ``layers`` win over it."""
    criterion: Criterion = "fisher"
    """Which channels stay: fisher, taylor, activation, l1_norm, random, or ``module:callable``."""
    allocation: Allocation = Allocation.GREEDY
    """``greedy``: descent along the curves; ``uniform``: one ratio for all groups."""
    layers: Annotated[list[LayerRule], Field(max_length=256)] = []
    """Ordered rules; the first match wins."""
    protect: Protect = Protect()
    """Caps for the first and the last layers."""
    align: Annotated[int, Field(ge=1, le=256)] = 8
    """Kept widths are multiples of so many channels (never wider than the unpruned layer); attention heads
    and groups of a convolution that have as many go one by one."""
    schedule: Schedule = Schedule()
    """Rounds and step."""
    repair: Repair = Repair()
    """Repair of each round's cut without labels."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.target) || (has(self.layers) && size(self.layers) > 0)",
            "pruning needs a target: {macs: 50%}, or layers: [{match: ..., ratio: ...}]",
            lambda s: s.target is not None or bool(s.layers),
        ),
        Rule(
            "!has(self.target) || !has(self.schedule) || "
            f"[{', '.join(_SHARE.format(name) for name in Target.model_fields)}].all(share, "
            "double(share.replace('%', '')) "
            "<= 100.0 * double(self.schedule.rounds) * self.schedule.step + 0.000001)",
            "schedule.rounds x schedule.step cannot reach the target; raise one of them",
            lambda s: (
                s.target is None
                or max(s.target.shares.values()) <= s.schedule.rounds * s.schedule.step + 1e-8
            ),
        ),
    )
