"""What ``python -m secateur_jobs inspect`` is told about a model, and the line that it answers with."""

from __future__ import annotations

from secateur_api.base import Contract
from secateur_api.results import Refused, Shares
from secateur_api.spec import AnswerForm, Code, Data, Exported, InputSpec
from secateur_api.spec.types import Args, Factory

LINE_PREFIX = "secateur-inspection: "
"""Before the answer, so that it is told from what the user's code prints."""


class InspectionRequest(Contract):
    """One model: exported files, or a factory."""

    exported: Exported | None = None
    factory: Factory | None = None
    args: Args = {}
    """Keyword arguments of the factory."""
    inputs: list[InputSpec] = []
    """All of a factory's; of exported files those whose size is open, or another than theirs."""
    code: Code | None = None
    data: Data | None = None
    """Data that need no code, that it shall be pruned with, to look at as well."""
    form: AnswerForm | None = None
    """How agreement on them is judged, as ``spec.evaluation.form``."""


class OutputFound(Contract):
    """One output tensor, at the inputs' shapes."""

    name: str
    """Its place in what ``forward`` returns, as ``spec.evaluation.output`` names it."""
    shape: list[int]
    dtype: str
    form: AnswerForm | None = None
    """What agreement with the unpruned model compares, where its values leave no doubt."""


class GroupFound(Contract):
    """Channels that can only be cut together."""

    name: str
    """Structured name of the leading layer."""
    channels: int
    producers: list[str]
    """Layers that give these channels, the leader first."""
    consumers: list[str]
    others: list[str]
    """Normalisations, depthwise convolutions and the like, between them."""


class DataFound(Contract):
    """Data that need no code as a job would use them."""

    form: AnswerForm | None = None
    """What agreement compares; None: they have labels."""
    notes: list[str]
    """How many for what, and how pictures are prepared, where the request does not say it."""


class Inspection(Contract):
    """What a model is, and what of it can be cut; no data were needed."""

    model: str
    """The file or factory that was asked about."""
    inputs: list[InputSpec]
    outputs: list[OutputFound]
    macs: int
    """Multiply-accumulate operations of one forward pass at the inputs' shapes."""
    params: int
    """Trainable parameters that inference uses."""
    file_bytes: int
    """Of the exported files; of a factory's network those of its checkpoint."""
    difference: float | None = None
    """Largest difference of the rebuilt network from the exported files, relative to the largest output."""
    groups: list[GroupFound]
    refused: list[Refused]
    """Layers that are not cut, each with its reason."""
    notes: list[str] = []
    """Whether a factory's network is cut as its module or as its graph, where both were tried."""
    most: Shares
    """Largest shares that can be cut, no layer protected: three quarters of each group's channels."""
    by_default: Shares
    """The same with a job's defaults: protect, align and sensitivity.ratios."""
    data: DataFound | None = None


class InspectionAnswer(Contract):
    """The one answer."""

    found: Inspection | None = None
    failed: str | None = None
    """Why there is none, in one sentence."""
