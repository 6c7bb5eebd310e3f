"""The numbers that each stage reports; every one is measured, or it is absent (None)."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import Field

from secateur_api.base import Contract
from secateur_api.spec import Activations, Backend, CutAs, Evaluation, Format, InputSpec


class FileRef(Contract):
    """A file in the store."""

    path: str
    """Relative to the store."""
    sha256: str
    bytes: int


class ModelNumbers(Contract):
    """What was measured on one Paddle model."""

    metric: float
    """The evaluation metric on the whole evaluation set."""
    macs: int
    """Multiply-accumulate operations of one forward pass at the declared input shapes."""
    params: int
    """Trainable parameters that inference uses."""


class Shares(Contract):
    """Shares of the unpruned model's quantities, 0..1, of those that the target names."""

    macs: float | None = None
    params: float | None = None
    size: float | None = None
    latency: float | None = None


class PretrainOutcome(Contract):
    """Stage pretrain."""

    metric: float
    epochs: int


class Held(Contract):
    """Items of the training set that no training sees: curves, gate and early stop read them."""

    metric: float
    """The unpruned model's metric on them."""
    samples: int
    by_agreement: bool = False
    """They have no labels, the evaluation set has: their metric is agreement with the unpruned model."""


class PreflightOutcome(Contract):
    """Stage preflight; the groups are in the file ``groups`` (:class:`GroupTable`)."""

    baseline: ModelNumbers
    held: Held | None = None
    """None: the evaluation set chooses as well as it judges; a note says why."""
    groups: int
    """Groups that can be cut, each one proven."""
    layers: int
    """Convolution and linear layers in all."""
    refused: int
    """Layers that cannot be cut, each with its reason."""
    reachable: Shares = Shares()
    """Largest share of each target quantity that protect, rules and align allow to cut."""
    checkpoint_bytes: int
    """Size of the unpruned model's checkpoint."""
    needs_sensitivity: bool
    """Whether any group's ratio is open (a target, and no rule that fixes it)."""
    engine: str
    """The engine that was chosen."""
    cut_as: CutAs = CutAs.MODULE
    """What is cut: the ``module``, or its ``graph`` (always that of an exported model)."""
    notes: list[str] = []

    def choosing(self, evaluation: Evaluation) -> Evaluation:
        """Return how the items that choose are judged."""
        if self.held is None or not self.held.by_agreement:
            return evaluation
        return evaluation.by_agreement()

    @property
    def choosing_metric(self) -> float:
        """The metric on the items that choose, from which a round's drop is told."""
        return self.baseline.metric if self.held is None else self.held.metric


class SensitivityOutcome(Contract):
    """Stage sensitivity, one shard; the curves are in the file ``curves`` (:class:`CurveTable`)."""

    points: int
    """Points of this shard, those found in the store included."""
    measured: int
    """Points that this process measured itself."""
    notes: list[str] = []
    """What could not be done the quick way."""


class RoundOutcome(Contract):
    """Stage round; files ``checkpoint`` (the pruned model) and ``plan`` (:class:`RoundPlan`)."""

    number: int
    share: float
    cut_macs: float
    """Share of the unpruned model's MACs that is cut."""
    cut_params: float
    cut_size: float
    """Share of the unpruned model's checkpoint, in bytes, that is cut."""
    numbers: ModelNumbers
    """After recovery; the metric is reported, and chooses nothing."""
    metric_cut: float
    """The metric on the held-back items (see preflight's ``held``), after cutting, before any recovery."""
    metric_repaired: float
    """The metric after repair (see ``pruning.repair``), before fine-tuning."""
    metric_recovered: float | None = None
    """The metric on the held-back items, after recovery; None where none are: it is that of ``numbers``."""
    drop: float
    """Relative drop of the metric from the unpruned model's on the held-back items, after recovery; negative
    is better. The gate reads it; the verdict reads that of the converted models on the evaluation set."""
    drift: dict[str, float] = {}
    """Each output that the metric does not judge: its mean squared difference from the unpruned model's on
    the evaluation set, in units of the unpruned one's mean square."""
    checkpoint_bytes: int
    checkpoint: FileRef | None = None
    """The pruned model; None in a status that an earlier version wrote."""

    @property
    def recovered(self) -> float:
        """The metric after recovery, on the items that the drop is told of."""
        return self.numbers.metric if self.metric_recovered is None else self.metric_recovered


class Parity(Contract):
    """How far the converted model's outputs are from Paddle's on the same inputs."""

    max_abs: float
    max_rel: float
    """Largest absolute difference over the largest absolute output."""
    tolerance: float
    """The allowed ``max_rel``."""
    samples: int


class Precision(Contract):
    """What a converted model's weights are stored in, and what that changes.

    All numbers are measured on the evaluation set, against the same model with 32-bit weights.
    """

    bits8: int
    """Weights (elements) that are stored in 8 bits, in 16, in 32."""
    bits16: int
    bits32: int
    """Biases and normalisations, which stay, are not counted."""
    max_rel: float | None = None
    """Largest absolute difference over the largest absolute output; None where it cannot run here (arm)."""
    agreement: float | None = None
    """Share of the samples with the same answer."""
    drop: float | None = None
    """Relative drop of the metric."""
    samples: int
    """Length of the evaluation set."""
    activations: Activations = Activations.NONE
    """``int8`` where layers compute in 8 bits too, else all compute in 32-bit floats."""


class Artifact(Contract):
    """One converted model in the store."""

    role: Literal["baseline", "pruned"]
    format: Format
    backend: Backend | None = None
    path: str
    """Relative to the store."""
    sha256: str
    bytes: int
    parity: Parity | None = None
    """With 32-bit weights; None where it cannot be run here (arm)."""
    precision: Precision | None = None
    """None for 32-bit floats, as convert leaves them."""

    @property
    def file(self) -> FileRef:
        """The file in the store."""
        return FileRef(path=self.path, sha256=self.sha256, bytes=self.bytes)


class ConvertOutcome(Contract):
    """Stage convert, and stage quantize."""

    artifacts: list[Artifact]
    manifest: FileRef | None = None
    """:class:`Manifest`; None for the baseline, which preflight converts."""


class WeightPrecision(Contract):
    """One weight of a converted model."""

    weight: str
    """Its name in the file."""
    layer: str
    """Structured name of its layer."""
    elements: int
    bits: int
    """8, 16 or 32."""
    cost: float | None = None
    """Relative change of the outputs with this weight alone in 8 bits; None where that was not asked."""
    why: str = ""
    """Why it is not stored in fewer bits."""


class TargetPrecision(Contract):
    """The weights of one target."""

    format: Format
    backend: Backend | None = None
    weights: list[WeightPrecision]
    note: str = ""
    """Why the file of convert is shipped as it is."""

    def elements(self, bits: int) -> int:
        """Return how many numbers are stored in so many bits."""
        return sum(weight.elements for weight in self.weights if weight.bits == bits)


class PrecisionTable(Contract):
    """File ``precision`` of quantize."""

    targets: list[TargetPrecision]


class Manifest(Contract):
    """File ``manifest`` of convert: what was made, from what, by which tools."""

    inputs: list[InputSpec]
    """Inputs of every converted model, by name."""
    outputs: Any
    """What ``forward`` returns, with the outputs' names in place of the tensors (null for what is none); the
    converted models have them in this order."""
    artifacts: list[Artifact]
    """Every converted model of the job: the baseline's and the pruned one's."""
    options: dict[str, str]
    """Target (``paddle-lite/arm``) to the converter's options."""
    toolchain: dict[str, str]
    """Package to version; ``lite-`` marks those of the Paddle Lite environment."""


class RunNumbers(Contract):
    """One converted model, run."""

    p50_seconds: float
    p90_seconds: float
    peak_memory_bytes: int
    """Largest resident set of a process that loads and runs only this model."""
    metric: float
    """The evaluation metric of the converted model on the whole evaluation set."""
    bytes: int
    """Size of the model file."""


class BenchmarkOutcome(Contract):
    """One device and format; the latency samples are in the file ``samples`` (:class:`LatencySamples`)."""

    device: str
    format: Format
    backend: Backend | None = None
    runs: int
    baseline: RunNumbers
    pruned: RunNumbers
    speedup: float
    """Median over the pairs of adjacent runs: the baseline's latency / the pruned model's; the quotient of
    the two p50 is less steady."""
    drop: float
    """Relative drop of the converted pruned model's metric from the converted baseline's."""
    drop_interval: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    """Ends of the drop's 95 % interval, paired over the samples; None where the metric is the user's."""


class BenchmarksOutcome(Contract):
    """Stage benchmark."""

    benchmarks: list[BenchmarkOutcome]


class ReportOutcome(Contract):
    """Stage report."""

    html: FileRef
    """The HTML page."""
    card: FileRef
    """The Markdown model card."""


class StageOutcome(Contract):
    """The numbers of whichever stage it was; exactly one field is set when the stage is done."""

    pretrain: PretrainOutcome | None = None
    preflight: PreflightOutcome | None = None
    sensitivity: SensitivityOutcome | None = None
    round: RoundOutcome | None = None
    convert: ConvertOutcome | None = None
    quantize: ConvertOutcome | None = None
    benchmark: BenchmarksOutcome | None = None
    report: ReportOutcome | None = None


# ---- files that stages leave in the store for later stages (JSON, camelCase) ----


class Group(Contract):
    """Channels that must be cut together."""

    name: str
    """Structured name of the layer whose output channels lead the group."""
    channels: int
    """Width, in units of what one cut removes."""
    producers: list[str]
    """Layers whose output channels belong to the group (the leader first)."""
    consumers: list[str]
    """Layers whose input channels follow."""
    others: list[str] = []
    """Normalisations, depthwise convolutions and the like that follow too."""
    cap: float
    """Largest ratio that protect allows."""
    rule: float | None = None
    """Ratio that a rule in ``layers`` fixes."""
    step: int = 1
    """Kept widths are multiples of this; several output channels may be one of ``channels``."""


class Depths(Contract):
    """File ``depths`` of preflight, by which sensitivity's points are shared out: measured times, other ones
    in each run."""

    behind: dict[str, float]
    """Group to the share of a forward pass's time from its first consumer on: what a point has to compute."""


class LatencyTable(Contract):
    """File ``latency`` of preflight: what narrowed nets took on the device, for a target of latency."""

    device: str
    format: Format
    runs: int
    """Interleaved pairs of runs for each net."""
    kept: list[dict[str, float]]
    """For each net that was measured the share of each group's channels that it keeps."""
    latency: list[float]
    """Its latency as a share of the unpruned net's: median over the pairs."""


class Refused(Contract):
    """A layer that cannot be cut."""

    layer: str
    reason: str


class GroupTable(Contract):
    """File ``groups`` of preflight."""

    engine: str
    groups: list[Group]
    refused: list[Refused]


class PointSource(str, Enum):
    """Where a sensitivity point comes from."""

    MEASURED = "measured"
    BEYOND = "beyond"
    """Not measured: a smaller cut of the same group is surely above the cap, and this is that one's loss."""
    ESTIMATED = "estimated"
    """From gradients, without evaluation."""
    IMPORTED = "imported"
    """From PaddleSlim's file."""


class Point(Contract):
    """One sensitivity point."""

    group: str
    ratio: float
    metric: float
    loss: float
    """Relative drop of the metric from the baseline's (negative is better), and ``drift``."""
    drift: float = 0.0
    """How far the outputs that the metric does not judge moved: mean squared difference from the uncut net's,
    in units of their mean square, summed over them."""
    seconds: float
    low: float | None = None
    """Lower bound of the loss; None where the loss is that of all samples, or has no bounds."""
    high: float | None = None
    """Upper bound of the loss; None as ``low``, and for a point beyond."""
    samples: int | None = None
    """Samples that it was measured on; None: all that ``dataFraction`` allows."""
    source: PointSource = PointSource.MEASURED


class CurveTable(Contract):
    """File ``curves`` of sensitivity: the points of one shard."""

    baseline: float
    points: list[Point]


class Width(Contract):
    """One layer's output width."""

    layer: str
    before: int
    after: int


class RoundPlan(Contract):
    """File ``plan`` of round."""

    ratios: dict[str, float]
    """Group to the share of the unpruned channels that is cut after this round."""
    widths: list[Width]
    losses: list[float]
    """Mean training loss of each fine-tuning epoch."""
    metrics: list[float]
    """Metric on the held-back items after each fine-tuning epoch."""
    notes: list[str] = []
    """What a person should know of the fine-tuning: options without effect, an early stop."""


class LatencySamples(Contract):
    """File ``samples-<n>`` of benchmark: every timed run, in the order run."""

    baseline_seconds: list[float]
    pruned_seconds: list[float]
