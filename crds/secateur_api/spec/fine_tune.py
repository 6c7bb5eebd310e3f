"""How a round recovers by training."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from secateur_api.base import Contract, Rule
from secateur_api.spec.model import Weights
from secateur_api.spec.types import Args, Factory


class Teacher(Contract):
    """Another, larger model that teaches."""

    factory: Factory
    """``module:callable`` that returns a ``paddle.nn.Layer`` of the same inputs and output shape."""
    args: Args = {}
    """Keyword arguments of the factory."""
    weights: Weights
    """Its trained weights."""


class Distillation(Contract):
    """The unpruned model, or a larger one, teaches the pruned one (Hinton et al. 2015)."""

    temperature: Annotated[float, Field(gt=0, le=100)] = 4.0
    """Softens both outputs."""
    weight: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Share of the distillation term in the loss; 0 turns it off."""
    features: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Weight of the feature term: mean squared difference of the outputs of at most four layers whose width
    was not cut, in units of the teacher's mean square; 0 turns it off."""
    teacher: Teacher | None = None
    """Absent: the unpruned model."""


class EarlyStop(Contract):
    """Stop where further epochs are not worth their time, judged on training items that are held back.

    For metrics that are a mean over samples (``accuracy``, ``top5_accuracy``, ``sequence_accuracy``,
    ``edit_similarity``).
    """

    gain: Annotated[float, Field(gt=0, le=1)] = 0.001
    """An epoch that surely gains less than this share of the baseline's metric is the last one."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    """Of the paired bound on the gain from one epoch to the next."""


class FineTune(Contract):
    """How a round recovers what the cut lost."""

    data_fraction: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of the training set."""
    epochs: Annotated[int, Field(ge=0, le=10000)] = 3
    """Passes over that share in each round."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    """Peak learning rate (AdamW, cosine decay to zero)."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 32
    """Samples per step (of all workers together)."""
    distillation: Distillation = Distillation()
    """The unpruned model as teacher."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the exponential moving average of the weights, which is what is kept; 0 turns it off."""
    clip: Annotated[float, Field(gt=0, le=1000000)] | None = None
    """Largest global norm of a gradient; absent: no clipping."""
    early_stop: EarlyStop | None = None
    """Absent: all epochs are run."""
    amp: bool = False
    """Automatic mixed precision, where the stage runs on a GPU."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that train together (data-parallel): as many pods of one Job, each with what ``resources``
    gives it; they must reach each other. Locally as many processes."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.workers) || !has(self.batchSize) || self.workers <= self.batchSize",
            "each of the workers needs a sample of every batch: workers must not be more than batchSize",
            lambda s: s.workers <= s.batch_size,
        ),
    )
