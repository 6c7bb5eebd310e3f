"""The whole spec, and the rules across its parts."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from secateur_api.base import Contract, Rule
from secateur_api.spec.cluster import ObjectReference, PodTemplate, StageResources, Store
from secateur_api.spec.constraint import Constraint, Metric
from secateur_api.spec.convert import Backend, Benchmark, Convert, Format
from secateur_api.spec.fine_tune import FineTune
from secateur_api.spec.model import Data, Evaluation, Model
from secateur_api.spec.pruning import Pruning
from secateur_api.spec.sensitivity import Sensitivity
from secateur_api.spec.types import Duration, Sha256


class Budget(Contract):
    """What the job may use."""

    wall_clock: Duration = "24h"
    """Longest time from start to end."""
    retries: Annotated[int, Field(ge=0, le=20)] = 3
    """How often one stage is tried again after a retryable fault."""


class Code(Contract):
    """User code beside the image: factories, data sets, metrics, criteria."""

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """A wheel or zip in the store (locally: the folder given by ``--code``)."""
    sha256: Sha256
    """SHA-256 of the file (of a folder: of its sorted files, caches and version control apart)."""


MUTABLE = ("suspend", "budget", "resources", "queue", "template")
"""Fields of the spec that may change while a job runs; they count from the next Job on."""

_DEFAULT_CONVERT = [
    Convert(format=Format.PADDLE_LITE, backend=Backend.ARM),
    Convert(format=Format.PADDLE_LITE, backend=Backend.X86),
    Convert(format=Format.ONNX),
]


def _runnable(s: PruningJobSpec, format: Format) -> bool:
    """Whether a format that a benchmark runs is among the conversions."""
    return any(c.format == format and c.backend != Backend.ARM for c in s.convert)


_NEEDS_BENCHMARK = (Metric.LATENCY_P50, Metric.LATENCY_P90, Metric.PEAK_MEMORY, Metric.SPEEDUP)


class PruningJobSpec(Contract):
    """What to make smaller, by how much, and what must still hold."""

    model: Model
    """The model to make smaller."""
    data: Data
    """The data it is evaluated and fine-tuned on."""
    evaluation: Evaluation = Evaluation()
    """How good a model is."""
    constraints: Annotated[list[Constraint], Field(max_length=32)] = []
    """All must hold, or the job is Failed; each one is measured on the converted model."""
    sensitivity: Sensitivity = Sensitivity()
    """How the loss of each group is measured."""
    pruning: Pruning
    """What is cut."""
    fine_tune: FineTune = FineTune()
    """How a round recovers."""
    convert: Annotated[list[Convert], Field(min_length=1, max_length=3)] = _DEFAULT_CONVERT
    """Formats to convert to."""
    benchmark: Annotated[list[Benchmark], Field(max_length=8)] = [Benchmark()]
    """What to measure on which device."""
    budget: Budget = Budget()
    """What the job may use."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of every random choice; the same job twice gives the same bytes on one machine."""
    code: Code | None = None
    """User code beside the image."""
    fresh: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Any text, such as a date: with another one than before, nothing is reused and all is measured anew."""
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Image of the stage pods, built FROM Secateur's; absent: the operator's. Cluster only, as all below."""
    store: Store | None = None
    """Where artifacts go; absent: the operator's default."""
    resources: Annotated[list[StageResources], Field(max_length=8)] = [StageResources()]
    """What the pods of each stage ask for."""
    queue: ObjectReference | None = None
    """Kueue LocalQueue that the job's pods wait in."""
    template: PodTemplate | None = None
    """Overrides of the stage pods."""
    suspend: bool = False
    """Stop running stages and wait."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.convert) || self.convert.all(c, self.convert.exists_one(d, d.format == c.format "
            "&& (!has(d.backend) || !has(c.backend) || d.backend == c.backend)))",
            "convert names a format and backend twice",
            lambda s: len({(c.format, c.backend) for c in s.convert}) == len(s.convert),
        ),
        Rule(
            "!has(self.benchmark) || !has(self.convert) || self.benchmark.all(b, "
            "self.convert.exists(c, c.format == b.format && (!has(c.backend) || c.backend != 'arm')))",
            "each benchmark needs its format in convert: paddle-lite with backend x86, or onnx",
            lambda s: all(_runnable(s, b.format) for b in s.benchmark),
        ),
        Rule(
            "!has(self.pruning.target) || !has(self.pruning.target.latency) || "
            "!has(self.benchmark) || size(self.benchmark) > 0",
            "a target of latency needs a benchmark, which measures it",
            lambda s: s.pruning.target is None or s.pruning.target.latency is None or bool(s.benchmark),
        ),
        Rule(
            "!has(self.constraints) || self.constraints.all(c, "
            "!(c.metric in ['latencyP50', 'latencyP90', 'peakMemory', 'speedup']) || "
            "(has(self.benchmark) && self.benchmark.exists(b, "
            "(!has(c.device) || c.device == b.device) && (!has(c.format) || c.format == b.format) && "
            "(!has(c.backend) || (c.backend == 'x86' && b.format == 'paddle-lite')))))",
            "a constraint on latency, memory or speed-up needs a benchmark of that device and format",
            lambda s: all(
                c.metric not in _NEEDS_BENCHMARK
                or any(
                    c.device in (None, b.device)
                    and c.format in (None, b.format)
                    and (c.backend is None or (c.backend == Backend.X86 and b.format == Format.PADDLE_LITE))
                    for b in s.benchmark
                )
                for c in s.constraints
            ),
        ),
    )
