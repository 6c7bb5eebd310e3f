"""The spec of a PruningJob: what a user asks for. Field docs become the CRD's descriptions."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from secateur_api.base import Contract, Rule
from secateur_api.quantity import (
    BYTES,
    COUNT,
    DURATION,
    FACTOR,
    PERCENT,
    parse_percent,
)

Factory = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", max_length=253)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Percent = Annotated[str, StringConstraints(pattern=PERCENT, max_length=16)]
Duration = Annotated[str, StringConstraints(pattern=DURATION, max_length=32)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.-]*$", max_length=63)]
Ratio = Annotated[float, Field(ge=0, lt=1)]
Args = Annotated[dict[str, Any], Field(default_factory=dict)]

BUILT_IN_CRITERIA = ("l1_norm", "l2_norm", "fpgm", "bn_scale", "activation", "taylor")
_CALLABLE = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"
Criterion = Annotated[
    str,
    StringConstraints(pattern=rf"^({'|'.join(BUILT_IN_CRITERIA)}|{_CALLABLE})$", max_length=253),
]


class DType(str, Enum):
    """Element type of a model input."""

    FLOAT32 = "float32"
    INT32 = "int32"
    INT64 = "int64"


class InputSpec(Contract):
    """One input of the model, in the order of its ``forward``."""

    name: Name
    """Name of the input; the converted model keeps it."""
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=8)]
    """Shape with the batch size first, as used for conversion and latency: ``[1, 3, 224, 224]``."""
    dtype: DType = DType.FLOAT32
    """Element type."""


class Weights(Contract):
    """Trained weights of the model."""

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """A path or fsspec URI of a ``.safetensors``, ``.npz`` or ``.pdparams`` file (arrays only)."""
    sha256: Sha256 | None = None
    """Expected SHA-256 of the file, in hex; another one is refused."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            r"self.uri.matches('\\.(safetensors|npz|pdparams)$')",
            "weights.uri must end in .safetensors, .npz or .pdparams",
            lambda s: s.uri.endswith((".safetensors", ".npz", ".pdparams")),
        ),
    )


class Pretrain(Contract):
    """Train the baseline first, for examples and tests that must not download weights."""

    epochs: Annotated[int, Field(ge=1, le=10000)]
    """Passes over the training set."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.002
    """Peak learning rate (AdamW, cosine decay to zero)."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 64
    """Samples per step."""


class Model(Contract):
    """The model to make smaller."""

    factory: Factory
    """``module:callable`` that returns a ``paddle.nn.Layer``."""
    args: Args
    """Keyword arguments of the factory."""
    weights: Weights | None = None
    """Trained weights; may be left out only with ``pretrain``."""
    pretrain: Pretrain | None = None
    """Train the baseline in a first stage (starting from ``weights`` where both are given)."""
    inputs: Annotated[list[InputSpec], Field(min_length=1, max_length=16)]
    """Inputs of ``forward``, in order."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.weights) || has(self.pretrain)",
            "model needs weights: {uri: ...}, or pretrain: {epochs: N} to train the baseline first",
            lambda s: s.weights is not None or s.pretrain is not None,
        ),
    )


class Data(Contract):
    """The data that the model is evaluated and fine-tuned on."""

    factory: Factory
    """``module:callable`` that returns ``(train, eval)``, two ``paddle.io.Dataset`` of (input..., label)."""
    args: Args
    """Keyword arguments of the factory."""


class Goal(str, Enum):
    """Which way the metric gets better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class Evaluation(Contract):
    """How good a model is."""

    metric: Annotated[
        str, StringConstraints(pattern=rf"^(accuracy|top5_accuracy|{_CALLABLE})$", max_length=253)
    ] = "accuracy"
    """``accuracy``, ``top5_accuracy``, or ``module:callable`` taking (outputs, labels) as arrays."""
    goal: Goal = Goal.MAXIMIZE
    """Whether a larger or a smaller metric is better."""
    loss: Annotated[str, StringConstraints(pattern=rf"^(cross_entropy|mse|{_CALLABLE})$", max_length=253)] = (
        "cross_entropy"
    )
    """Training loss: ``cross_entropy``, ``mse``, or ``module:callable`` taking (output, label) tensors."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 128
    """Samples per evaluation batch."""


class Metric(str, Enum):
    """What a constraint bounds."""

    ACCURACY_DROP = "accuracyDrop"
    LATENCY_P50 = "latencyP50"
    LATENCY_P90 = "latencyP90"
    MODEL_SIZE = "modelSize"
    MACS = "macs"
    PARAMS = "params"
    PEAK_MEMORY = "peakMemory"
    SPEEDUP = "speedup"


class Format(str, Enum):
    """File format of a converted model."""

    PADDLE_LITE = "paddle-lite"
    ONNX = "onnx"


class Backend(str, Enum):
    """Target of a Paddle Lite model."""

    ARM = "arm"
    X86 = "x86"


_BOUND = f"({PERCENT}|{DURATION}|{BYTES}|{COUNT}|{FACTOR})".replace("^", "").replace("$", "")
_UNITS: dict[Metric, tuple[str, str]] = {
    Metric.ACCURACY_DROP: (PERCENT, "a percentage such as '1%'"),
    Metric.LATENCY_P50: (DURATION, "a duration such as '500ms'"),
    Metric.LATENCY_P90: (DURATION, "a duration such as '500ms'"),
    Metric.MODEL_SIZE: (BYTES, "a size such as '50Mi'"),
    Metric.PEAK_MEMORY: (BYTES, "a size such as '50Mi'"),
    Metric.MACS: (f"{COUNT}|{PERCENT}", "a count such as '300M', or a percentage such as '50%'"),
    Metric.PARAMS: (f"{COUNT}|{PERCENT}", "a count such as '2M', or a percentage such as '50%'"),
    Metric.SPEEDUP: (FACTOR, "a factor such as '1.3x'"),
}


def _unit_rule(metrics: tuple[Metric, ...]) -> Rule:
    import re

    pattern, words = _UNITS[metrics[0]]
    names = ", ".join(m.value for m in metrics)
    bound = "min" if metrics == (Metric.SPEEDUP,) else "max"
    other = "max" if bound == "min" else "min"
    listed = "[" + ", ".join(f"'{m.value}'" for m in metrics) + "]"
    escaped = pattern.replace("\\", "\\\\")
    return Rule(
        f"!(self.metric in {listed}) || "
        f"(has(self.{bound}) && !has(self.{other}) && self.{bound}.matches('{escaped}'))",
        f"{names} needs {bound}: {words}",
        lambda s: (
            s.metric not in metrics
            or (
                getattr(s, other) is None
                and getattr(s, bound) is not None
                and re.search(pattern, getattr(s, bound)) is not None
            )
        ),
    )


class Constraint(Contract):
    """One bound that the converted model must hold; it is measured, never assumed.

    It holds if it holds for every measurement that ``device``, ``format`` and ``backend`` select.
    """

    metric: Metric
    """What is bounded. ``accuracyDrop`` is relative: (baseline - pruned) / baseline."""
    max: Annotated[str, StringConstraints(pattern=f"^{_BOUND}$", max_length=32)] | None = None
    """Largest allowed value. For ``macs`` and ``params`` a percentage is of the unpruned model's."""
    min: Annotated[str, StringConstraints(pattern=f"^{_BOUND}$", max_length=32)] | None = None
    """Smallest allowed value (``speedup`` only: the baseline's latency / the pruned model's)."""
    device: Name | None = None
    """Only measurements on this device (default: on all)."""
    format: Format | None = None
    """Only models of this format (default: all)."""
    backend: Backend | None = None
    """Only Paddle Lite models for this backend (default: all)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        _unit_rule((Metric.ACCURACY_DROP,)),
        _unit_rule((Metric.LATENCY_P50, Metric.LATENCY_P90)),
        _unit_rule((Metric.MODEL_SIZE, Metric.PEAK_MEMORY)),
        _unit_rule((Metric.MACS, Metric.PARAMS)),
        _unit_rule((Metric.SPEEDUP,)),
    )


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
    layers: Annotated[list[LayerRule], Field(default_factory=list, max_length=256)]
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


class Convert(Contract):
    """One format to convert the model to."""

    format: Format
    """``paddle-lite`` or ``onnx``."""
    backend: Backend | None = None
    """Paddle Lite's target: ``arm`` (converted) or ``x86`` (converted and run)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.format == 'paddle-lite') == has(self.backend)",
            "format paddle-lite needs backend: arm or x86; format onnx has none",
            lambda s: (s.format == Format.PADDLE_LITE) == (s.backend is not None),
        ),
    )


class Benchmark(Contract):
    """One measurement of the baseline and the pruned model, interleaved."""

    device: Annotated[str, StringConstraints(pattern=r"^local-x86$")] = "local-x86"
    """Where to measure: ``local-x86`` is the machine that the stage runs on, one thread."""
    format: Format = Format.PADDLE_LITE
    """Which converted model runs: paddle-lite (backend x86) or onnx (onnxruntime)."""
    warmup: Annotated[int, Field(ge=1, le=10000)] = 20
    """Runs of each model before the clock counts."""
    runs: Annotated[int, Field(ge=200, le=100000)] = 200
    """Timed runs of each model."""


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
    """SHA-256 of the file (of a folder: of its sorted Python files)."""


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
    constraints: Annotated[list[Constraint], Field(default_factory=list, max_length=32)]
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
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Image of the stage pods (cluster only), built FROM Secateur's."""
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
