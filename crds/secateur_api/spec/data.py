"""The data that a model is evaluated and fine-tuned on: a factory's, or pictures without labels."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

from pydantic import Field

from secateur_api.base import Contract, Rule
from secateur_api.spec.types import Args, Factory, Sha256


class Fit(str, Enum):
    """How a picture comes to the size of the model's input."""

    STRETCH = "stretch"
    CROP = "crop"
    LINE = "line"


class Layout(str, Enum):
    """Where the channels are in the model's input."""

    NCHW = "NCHW"
    NHWC = "NHWC"


class Order(str, Enum):
    """Order of the channels of a colour picture."""

    RGB = "RGB"
    BGR = "BGR"


_Values = Annotated[list[float], Field(min_length=1, max_length=3)]
_Size = Annotated[list[Annotated[int, Field(ge=1, le=65536)]], Field(min_length=2, max_length=2)]


class Images(Contract):
    """Pictures without labels, and how one becomes the model's input: ``(pixels * scale - mean) / std``.

    What is left out is read from the ``inference.yml`` beside ``model.exported.uri``, where there is one.
    """

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """A folder, with those inside it, a ``.zip`` file or a bucket (any fsspec URI) of ``.jpg``, ``.jpeg``,
    ``.png``, ``.bmp`` or ``.webp`` files."""
    sha256: Sha256 | None = None
    """Expected SHA-256 of the ``.zip`` file, in hex; another one is refused."""
    size: _Size | None = None
    """Height and width that a picture is brought to; absent: those of the model's input."""
    fit: Fit | None = None
    """``stretch`` (each side on its own), ``crop`` (the middle; the shorter side is 8/7 of the size before)
    or ``line`` (to the height, the sides' ratio kept, zeros on the right); absent: ``stretch``."""
    mean: _Values | None = None
    """Taken from each channel, in the order of the model's input; one number counts for all."""
    std: _Values | None = None
    """Divides each channel, as ``mean``."""
    scale: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Multiplies the pixels (0..255) first; absent: 1/255."""
    layout: Layout | None = None
    """Absent: where the shape of the model's input has 1 or 3."""
    order: Order | None = None
    """Absent: ``RGB``; PaddleOCR's models are trained on ``BGR``."""
    eval_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the pictures that the result is measured on, drawn by ``seed``; the rest is trained on. Where
    there are folders ``train`` and ``val``, they say it instead."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            r"!has(self.sha256) || self.uri.matches('\\.zip$')",
            "images.sha256 is of a .zip file; leave it out for a folder or bucket",
            lambda s: s.sha256 is None or s.uri.endswith(".zip"),
        ),
        Rule(
            "has(self.mean) == has(self.std) && (!has(self.mean) || size(self.mean) == size(self.std))",
            "images.mean and images.std come together, with as many numbers each",
            lambda s: (s.mean is None) == (s.std is None) and (s.mean is None or len(s.mean) == len(s.std)),
        ),
        Rule(
            "!has(self.std) || self.std.all(v, v > 0.0)",
            "images.std divides: each number must be above 0",
            lambda s: s.std is None or all(v > 0 for v in s.std),
        ),
    )


class Data(Contract):
    """The data that the model is evaluated and fine-tuned on."""

    factory: Factory | None = None
    """``module:callable`` that returns ``(train, eval)``, two ``paddle.io.Dataset`` of (input..., label);
    this or ``images``. Without labels (``evaluation.metric: agreement``) items are (input...)."""
    args: Args = {}
    """Keyword arguments of the factory."""
    images: Images | None = None
    """Pictures without labels, in place of ``factory``; they need no code."""
    version: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Any text. Results are of the data as they are read; where items are random by design, a change of the
    data shows only here: with another text all is measured anew."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that read items ahead of training and evaluation, for items that take long to read. The
    results are the same for any number. Your data set is forked into them: its ``__getitem__`` must not use
    a GPU, nor rely on what it changed in itself at an earlier item."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.factory) != has(self.images)",
            "data needs either factory: module:callable, or images: {uri: FOLDER}",
            lambda s: (s.factory is None) != (s.images is None),
        ),
    )

    @property
    def origin(self) -> str:
        """What the data come from, for messages: the factory, or where the pictures are."""
        return self.images.uri if self.images is not None else str(self.factory)

    @property
    def origin_field(self) -> str:
        """Where the spec has :attr:`origin`."""
        return "spec.data.images.uri" if self.images is not None else "spec.data.factory"

    def decides(self) -> dict[str, object]:
        """Return what a result depends on: all but who reads the items."""
        return {key: value for key, value in self.to_wire().items() if key != "workers"}
