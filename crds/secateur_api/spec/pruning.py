"""What is cut, by which measure, in which steps, and how a round recovers."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

from pydantic import Field

from secateur_api.base import Contract, Rule
from secateur_api.quantity import parse_percent
from secateur_api.spec.types import Criterion, Percent, Ratio


class SensitivityMode(str, Enum):
    """How sensitivity is measured."""

    EXACT = "exact"


class Sensitivity(Contract):
    """How the loss of each group at each ratio is measured."""

    mode: SensitivityMode = SensitivityMode.EXACT
    """``exact``: cut, evaluate, restore, for every group and ratio."""
    shards: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that share the points."""
    ratios: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1, max_length=32)] = [
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
    ]
    """Share of a group's channels that is cut at each point."""
    data_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the evaluation set that each point is measured on."""


class Target(Contract):
    """What to cut, as a share of the unpruned model's."""

    macs: Percent | None = None
    """Multiply-accumulate operations to cut, such as ``50%``."""
    params: Percent | None = None
    """Parameters to cut, such as ``50%``."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.macs) != has(self.params)",
            "target needs one of macs and params, such as {macs: 50%}",
            lambda s: (s.macs is None) != (s.params is None),
        ),
    )

    @property
    def fraction(self) -> float:
        """The share to cut, 0..1."""
        return parse_percent(self.macs or self.params or "0%")

    @property
    def quantity(self) -> str:
        """``macs`` or ``params``."""
        return "macs" if self.macs is not None else "params"


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
    """Most that one round may cut: a share of the unpruned MACs or params (without a target, of channels)."""
    min_step: Annotated[float, Field(gt=0, le=1)] = 0.02
    """A step halved below this ends the rounds; the nearest model is kept."""
    floor: Percent | None = None
    """Largest relative drop after a round's recovery; default: the ``accuracyDrop`` constraint, or 5%."""


class Engine(str, Enum):
    """Who finds the groups and cuts."""

    AUTO = "auto"
    PADDLESLIM = "paddleslim"


class Pruning(Contract):
    """What is cut, by which measure, in which steps."""

    engine: Engine = Engine.AUTO
    """``paddleslim`` (PaddleSlim's groups and plans) or ``auto`` (the best engine available)."""
    target: Target | None = None
    """What to cut in all, spread over the layers by sensitivity. Rules in ``layers`` win over it."""
    criterion: Criterion = "l1_norm"
    """Which channels stay: l1_norm, l2_norm, fpgm, bn_scale, activation, taylor, or ``module:callable``."""
    layers: Annotated[list[LayerRule], Field(max_length=256)] = []
    """Ordered rules; the first match wins."""
    protect: Protect = Protect()
    """Caps for the first and the last layers."""
    align: Annotated[int, Field(ge=1, le=256)] = 8
    """Kept widths are multiples of this (never wider than the unpruned layer)."""
    schedule: Schedule = Schedule()
    """Rounds and step."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.target) || (has(self.layers) && size(self.layers) > 0)",
            "pruning needs a target: {macs: 50%}, or layers: [{match: ..., ratio: ...}]",
            lambda s: s.target is not None or bool(s.layers),
        ),
        Rule(
            "!has(self.target) || !has(self.schedule) || "
            "double((has(self.target.macs) ? self.target.macs : "
            "has(self.target.params) ? self.target.params : '0%').replace('%', '')) "
            "<= 100.0 * double(self.schedule.rounds) * self.schedule.step + 0.000001",
            "schedule.rounds x schedule.step cannot reach the target; raise one of them",
            lambda s: s.target is None or s.target.fraction <= s.schedule.rounds * s.schedule.step + 1e-8,
        ),
    )


class Distillation(Contract):
    """The unpruned model teaches the pruned one (Hinton et al. 2015)."""

    temperature: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Softens both outputs."""
    weight: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Share of the distillation term in the loss; 0 turns it off."""


class FineTune(Contract):
    """How a round recovers what the cut lost."""

    data_fraction: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of the training set."""
    epochs: Annotated[int, Field(ge=0, le=10000)] = 3
    """Passes over that share in each round."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    """Peak learning rate (AdamW, cosine decay to zero)."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 32
    """Samples per step."""
    distillation: Distillation = Distillation()
    """The unpruned model as teacher."""
