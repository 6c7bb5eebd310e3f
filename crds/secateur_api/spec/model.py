"""The model to make smaller, and how good a model is."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from secateur_api.base import Contract, Rule
from secateur_api.spec.types import CALLABLE, Args, Factory, Name, Patterns, Sha256


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
    prefix: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_]+\.)*$", max_length=253)] = ""
    """Put before each name in the file, as ``ernie.`` where it was saved from the encoder alone."""
    ignore: Patterns = []
    """What of the file is not read: fnmatch patterns over the names in it (``cls.*``)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            r"self.uri.matches('\\.(safetensors|npz|pdparams)$')",
            "weights.uri must end in .safetensors, .npz or .pdparams",
            lambda s: s.uri.endswith((".safetensors", ".npz", ".pdparams")),
        ),
    )


class Exported(Contract):
    """A model as Paddle exports it, in two files that lie beside each other, or as one ONNX file."""

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """A path or fsspec URI of ``inference.json`` or ``inference.pdmodel``, the ``.pdiparams`` of the same
    name beside it; or of an ``.onnx`` file with its weights inside."""
    sha256: Sha256 | None = None
    """Expected SHA-256 of the files, the program's bytes first; others are refused."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            r"self.uri.matches('\\.(json|pdmodel|onnx)$')",
            "exported.uri must end in .json or .pdmodel, with the .pdiparams beside it, or in .onnx",
            lambda s: s.uri.endswith((".json", ".pdmodel", ".onnx")),
        ),
    )

    @property
    def uris(self) -> list[str]:
        """URIs of its files, the program's first."""
        is_whole = self.uri.endswith(".onnx")
        return [self.uri] if is_whole else [self.uri, self.uri.rpartition(".")[0] + ".pdiparams"]


class Pretrain(Contract):
    """Train the baseline first, for examples and tests that must not download weights."""

    epochs: Annotated[int, Field(ge=1, le=10000)]
    """Passes over the training set."""
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.002
    """Peak learning rate (AdamW, cosine decay to zero)."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 64
    """Samples per step."""
    fresh: Patterns = []
    """What is not taken from ``weights`` and starts as the factory makes it, under ``seed``: fnmatch patterns
    over the model's parameter names (``classifier.*``). The file may lack these, and only these."""


class CutAs(str, Enum):
    """What of a factory's network is cut."""

    AUTO = "auto"
    MODULE = "module"
    GRAPH = "graph"


class Model(Contract):
    """The model to make smaller."""

    factory: Factory | None = None
    """``module:callable`` that returns a ``paddle.nn.Layer``; this or ``exported``."""
    exported: Exported | None = None
    """An exported model, with its trained weights, in place of ``factory``; it needs no code."""
    args: Args = {}
    """Keyword arguments of the factory."""
    weights: Weights | None = None
    """Trained weights; may be left out only with ``pretrain``, ``trained`` or ``exported``."""
    pretrain: Pretrain | None = None
    """Train the baseline in a first stage (starting from ``weights`` where both are given)."""
    trained: bool = False
    """The factory returns the network with its trained weights, as an exported model's does."""
    before_export: Factory | None = None
    """``module:callable`` that is given a copy of the network for its export, and changes it or returns
    another that answers the same: it folds the branches of RepVGG, for example."""
    inputs: Annotated[list[InputSpec], Field(min_length=1, max_length=16)]
    """Inputs of ``forward``, in order."""
    cut_as: CutAs = CutAs.AUTO
    """What of a factory's network is cut: its ``module``, or its ``graph`` as Paddle traces it for inference,
    in which a width that the module keeps as a number follows the cut. ``auto``: the module, but where it
    fails when cut, the one of the two that more layers can be cut in."""

    @property
    def origin(self) -> str:
        """What the network comes from, for messages: the factory, or the exported file."""
        return self.exported.uri if self.exported is not None else str(self.factory)

    @property
    def origin_field(self) -> str:
        """Where the spec has :attr:`origin`."""
        return "spec.model.exported.uri" if self.exported is not None else "spec.model.factory"

    @property
    def is_trained(self) -> bool:
        """Whether the network comes with its trained weights."""
        return self.trained or self.exported is not None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.factory) != has(self.exported)",
            "model needs either factory: module:callable, or exported: {uri: inference.json}",
            lambda s: (s.factory is None) != (s.exported is None),
        ),
        Rule(
            "!has(self.exported) || (!has(self.weights) && !has(self.pretrain))",
            "model.exported brings its own weights; leave out weights and pretrain",
            lambda s: s.exported is None or (s.weights is None and s.pretrain is None),
        ),
        Rule(
            "!has(self.exported) || !has(self.beforeExport)",
            "model.beforeExport rewrites the network of a factory; leave it out beside exported",
            lambda s: s.exported is None or s.before_export is None,
        ),
        Rule(
            "!has(self.beforeExport) || !has(self.cutAs) || self.cutAs != 'graph'",
            "model.beforeExport is given the module, which a graph is not; leave cutAs out",
            lambda s: s.before_export is None or s.cut_as is not CutAs.GRAPH,
        ),
        Rule(
            "!has(self.exported) || !has(self.cutAs) || self.cutAs == 'auto'",
            "model.exported is cut as the graph that it is; leave cutAs out",
            lambda s: s.exported is None or s.cut_as is CutAs.AUTO,
        ),
        Rule(
            "self.inputs.all(i, self.inputs.exists_one(j, j.name == i.name))",
            "inputs names an input twice",
            lambda s: len({i.name for i in s.inputs}) == len(s.inputs),
        ),
        Rule(
            "has(self.exported) || has(self.weights) || has(self.pretrain) || "
            "(has(self.trained) && self.trained)",
            "model needs weights: {uri: ...}, or pretrain: {epochs: N} to train the baseline first",
            lambda s: s.weights is not None or s.pretrain is not None or s.is_trained,
        ),
        Rule(
            "has(self.weights) || !has(self.pretrain) || !has(self.pretrain.fresh)"
            " || size(self.pretrain.fresh) == 0",
            "pretrain.fresh says what is not taken from weights: {uri: ...}; without them all is fresh",
            lambda s: s.weights is not None or s.pretrain is None or not s.pretrain.fresh,
        ),
    )


AGREEMENT = "agreement"
"""The metric that needs no labels: how often the unpruned model gives the same answer."""
BUILT_IN_METRICS = (
    "accuracy",
    "top5_accuracy",
    "sequence_accuracy",
    "edit_similarity",
    "hmean",
    "miou",
    AGREEMENT,
)
BUILT_IN_LOSSES = ("cross_entropy", "mse", "ctc")


def _as_text(value: object) -> object:
    """Take ``output: 1`` as the name that it is; a bool is no number here."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


OutputName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    BeforeValidator(_as_text),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "minLength": 1, "maxLength": 253}),
]


class Goal(str, Enum):
    """Which way the metric gets better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class AnswerForm(str, Enum):
    """What the judged output is, where two models are compared by their answers."""

    CLASSES = "classes"
    SEQUENCE = "sequence"
    MAP = "map"
    RELATIVE = "relative"


class Evaluation(Contract):
    """How good a model is."""

    named_metric: (
        Annotated[
            str, StringConstraints(pattern=rf"^({'|'.join(BUILT_IN_METRICS)}|{CALLABLE})$", max_length=253)
        ]
        | None
    ) = Field(default=None, alias="metric")
    """``accuracy``, ``top5_accuracy``, ``sequence_accuracy``, ``edit_similarity``, ``hmean``, ``miou``,
    ``agreement`` (with the unpruned model; it needs no labels), or ``module:callable`` taking (outputs,
    labels) as arrays; of a model with several outputs it is given all, arranged as its ``forward`` returns
    them. Absent: ``accuracy``; ``agreement`` where the data have no ``factory``."""
    form: AnswerForm | None = None
    """What ``agreement`` compares: ``classes`` (the same largest score), ``sequence`` (the same line as CTC
    decodes it, class 0 the blank), ``map`` (intersection over union of what is above ``threshold``) or
    ``relative`` (1 - relative error of the numbers). Absent: as the outputs say, where there is no doubt."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """From where on a pixel counts, of form ``map``."""
    goal: Goal = Goal.MAXIMIZE
    """Whether a larger or a smaller metric is better."""
    loss: Annotated[
        str, StringConstraints(pattern=rf"^({'|'.join(BUILT_IN_LOSSES)}|{CALLABLE})$", max_length=253)
    ] = "cross_entropy"
    """Training loss: ``cross_entropy``, ``mse``, ``ctc``, or ``module:callable`` taking (output, label)
    tensors; of a model with several outputs it is given all, arranged as its ``forward`` returns them."""
    output: OutputName | None = None
    """Which output the built-in metric and loss judge, where the model has several: its index in a tuple
    (``1``), its key in a dict (``maps``), both with dots between inside each other (``1.boxes``)."""
    label: Annotated[int, Field(ge=0, le=63)] | None = None
    """Which label the built-in metric and loss compare with, where each item has several: 0 is the first
    behind the inputs."""
    class_axis: Annotated[int, Field(ge=-7, le=7)] | None = None
    """The axis of that output that the classes are along; absent: the one that the labels do not have (1 for
    outputs [N, C, H, W] and labels [N, H, W])."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] = 128
    """Samples per evaluation batch."""

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.named_metric or "accuracy"

    def by_agreement(self) -> Evaluation:
        """Return the same for data whose labels are the unpruned model's answers."""
        return self.model_copy(update={"named_metric": AGREEMENT, "loss": Evaluation().loss, "label": None})

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.metric) || self.metric != 'agreement' || !has(self.goal) || self.goal == 'maximize'",
            "agreement is better where it is larger; leave goal out",
            lambda s: s.metric != AGREEMENT or s.goal is Goal.MAXIMIZE,
        ),
        Rule(
            "!has(self.classAxis) || self.classAxis != 0",
            "classAxis 0 is the batch's axis; 1 is the classes' of [N, C, H, W], -1 that of [N, H, W, C]",
            lambda s: s.class_axis != 0,
        ),
    )
