"""The whole spec, and the rules across its parts."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from secateur_api.base import Contract, Rule
from secateur_api.spec.cluster import ObjectReference, PodTemplate, StageResources, Store
from secateur_api.spec.constraint import Constraint, Metric
from secateur_api.spec.convert import Activations, Backend, Benchmark, Convert, Format, Quantize, WeightBits
from secateur_api.spec.data import Data
from secateur_api.spec.fine_tune import FineTune
from secateur_api.spec.model import AGREEMENT, DType, Evaluation, Model
from secateur_api.spec.pruning import Pruning
from secateur_api.spec.sensitivity import Sensitivity
from secateur_api.spec.types import Duration, Sha256, Stage


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


_LABELLED = "(has(self.data.factory) || (has(self.data.images) && has(self.data.images.labels)))"
_UNLABELLED = (
    f"!{_LABELLED} || "
    "(has(self.evaluation) && has(self.evaluation.metric) && self.evaluation.metric == 'agreement')"
)


def _is_unlabelled(s: PruningJobSpec) -> bool:
    """Whether the data have no labels, or they are not read; rules may run before the metric is named."""
    return not s.data.has_labels or s.evaluation.metric == AGREEMENT


class PruningJobSpec(Contract):
    """What to make smaller, by how much, and what must still hold."""

    model: Model
    """The model to make smaller."""
    data: Data
    """The data it is evaluated and fine-tuned on; they may have no labels."""
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
    quantize: Quantize | None = None
    """How the converted weights are stored; absent: in 32-bit floats."""
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
    resources: Annotated[list[StageResources], Field(max_length=9)] = [StageResources()]
    """What the pods of each stage ask for."""
    queue: ObjectReference | None = None
    """Kueue LocalQueue that the job's pods wait in."""
    template: PodTemplate | None = None
    """Overrides of the stage pods."""
    suspend: bool = False
    """Stop running stages and wait."""

    @model_validator(mode="after")
    def _judge_by_agreement(self) -> PruningJobSpec:
        """Name the metric of data that have no labels, where the spec does not."""
        if not self.data.has_labels and self.evaluation.named_metric is None:
            evaluation = self.evaluation.model_copy(update={"named_metric": AGREEMENT})
            object.__setattr__(self, "evaluation", evaluation)
        return self

    def wants(self, stage: Stage) -> bool:
        """Whether a stage is among the job's; of the sensitivity only preflight knows."""
        wanted = {
            Stage.PRETRAIN: self.model.pretrain is not None,
            Stage.QUANTIZE: self.quantize is not None,
            Stage.BENCHMARK: bool(self.benchmark),
        }
        return wanted.get(stage, True)

    @property
    def has_labels(self) -> bool:
        """Whether the data's labels are read."""
        return self.evaluation.metric != AGREEMENT

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"{_LABELLED} || !has(self.evaluation) || !has(self.evaluation.metric) || "
            "self.evaluation.metric == 'agreement'",
            "without data.factory or images.labels there are no labels, and metric: agreement judges; leave "
            "metric out",
            lambda s: s.data.has_labels or s.evaluation.named_metric in (None, AGREEMENT),
        ),
        Rule(
            f"!has(self.evaluation) || !has(self.evaluation.form) || !{_LABELLED} || "
            "(has(self.evaluation.metric) && self.evaluation.metric == 'agreement')",
            "evaluation.form says what agreement compares; leave it out beside another metric",
            lambda s: s.evaluation.form is None or _is_unlabelled(s),
        ),
        Rule(
            f"!({_UNLABELLED}) || !has(self.evaluation) || !has(self.evaluation.loss) || "
            "self.evaluation.loss == 'cross_entropy'",
            "without labels the loss is the distance from the unpruned model; leave evaluation.loss out",
            lambda s: not _is_unlabelled(s) or s.evaluation.loss == "cross_entropy",
        ),
        Rule(
            f"!({_UNLABELLED}) || !has(self.model.pretrain)",
            "without labels no baseline can be trained; leave model.pretrain out and give trained weights",
            lambda s: not _is_unlabelled(s) or s.model.pretrain is None,
        ),
        Rule(
            "!has(self.data.images) || (size(self.model.inputs) == 1 && "
            "size(self.model.inputs[0].shape) == 4 && ("
            "!has(self.model.inputs[0].dtype) || self.model.inputs[0].dtype == 'float32'))",
            "data.images needs a model of one input, float32 with four axes such as [1, 3, 224, 224]",
            lambda s: (
                s.data.images is None
                or (
                    len(s.model.inputs) == 1
                    and len(s.model.inputs[0].shape) == 4
                    and s.model.inputs[0].dtype is DType.FLOAT32
                )
            ),
        ),
        Rule(
            "!has(self.data.arrays) || size(self.model.inputs) == 1 || self.data.arrays.uri.endsWith('.npz')",
            "a model of several inputs needs data.arrays.uri of a .npz file, which names its arrays",
            lambda s: s.data.arrays is None or len(s.model.inputs) == 1 or s.data.arrays.uri.endswith(".npz"),
        ),
        Rule(
            "!has(self.data.lines) || self.model.inputs.all(i, size(i.shape) == 2 && "
            "i.shape[1] == self.model.inputs[0].shape[1] && i.shape[1] > 2)",
            "data.lines needs model.inputs [batch, length], such as [1, 64], all of one length of 3 or more",
            lambda s: (
                s.data.lines is None
                or all(
                    len(i.shape) == 2 and i.shape[1] == s.model.inputs[0].shape[1] and i.shape[1] > 2
                    for i in s.model.inputs
                )
            ),
        ),
        Rule(
            "!has(self.convert) || self.convert.all(c, self.convert.exists_one(d, d.format == c.format "
            "&& (!has(d.backend) || !has(c.backend) || d.backend == c.backend)))",
            "convert names a format and backend twice",
            lambda s: len({(c.format, c.backend) for c in s.convert}) == len(s.convert),
        ),
        Rule(
            "!has(self.quantize) || !has(self.quantize.weights) || self.quantize.weights != 'int16' || "
            "!has(self.convert) || self.convert.exists(c, c.format == 'paddle-lite')",
            "quantize.weights: int16 needs format paddle-lite in convert; onnx has 8 bits or floats",
            lambda s: (
                s.quantize is None
                or s.quantize.weights is not WeightBits.INT16
                or any(c.format is Format.PADDLE_LITE for c in s.convert)
            ),
        ),
        Rule(
            "!has(self.quantize) || !has(self.quantize.activations) || "
            "self.quantize.activations == 'none' || !has(self.convert) || "
            "self.convert.exists(c, c.format == 'onnx')",
            "quantize.activations: int8 needs format onnx in convert; paddle-lite computes in floats",
            lambda s: (
                s.quantize is None or s.quantize.activations is Activations.NONE or _runnable(s, Format.ONNX)
            ),
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
