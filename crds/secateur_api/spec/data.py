"""The data that a model is evaluated and fine-tuned on: a factory's, or some that need no code."""

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
_Share = Annotated[float, Field(gt=0, lt=1)]
_Size = Annotated[list[Annotated[int, Field(ge=1, le=65536)]], Field(min_length=2, max_length=2)]


class Labels(Contract):
    """Which class each picture is of."""

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """A UTF-8 text file as PaddleClas' lists, a picture a line: its path within ``images.uri``, a blank or a
    tab, and its class, which is the place of its score in the model's output, from 0. A path, or any fsspec
    URI."""
    sha256: Sha256 | None = None
    """Expected SHA-256 of the file, in hex; another one is refused."""


class Images(Contract):
    """Pictures, and how one becomes the model's input: ``(pixels * scale - mean) / std``.

    What is left out is read from the ``inference.yml`` beside ``model.exported.uri``, where there is one.
    """

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """A folder, with those inside it, a ``.zip`` file or a bucket (any fsspec URI) of ``.jpg``, ``.jpeg``,
    ``.png``, ``.bmp`` or ``.webp`` files."""
    sha256: Sha256 | None = None
    """Expected SHA-256 of the ``.zip`` file, in hex; another one is refused."""
    labels: Labels | None = None
    """The pictures' classes. Absent: they have no labels, and agreement with the unpruned model judges. All
    need one, but those in a folder ``train`` may all have none."""
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
    eval_share: _Share = 0.3
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


class Arrays(Contract):
    """Inputs without labels, as they go into the model; the first axis counts the samples."""

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """A ``.npz`` file with an array for each of ``model.inputs``, by its name; of a model of one input a
    ``.npy`` file too. A path, or any fsspec URI."""
    sha256: Sha256 | None = None
    """Expected SHA-256 of the file, in hex; another one is refused."""
    eval_share: _Share = 0.3
    """Share of the samples that the result is measured on, drawn by ``seed``; the rest is trained on."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            r"self.uri.matches('\\.np[yz]$')",
            "arrays.uri must end in .npz, or in .npy for a model of one input",
            lambda s: s.uri.endswith((".npy", ".npz")),
        ),
    )


class Vocabulary(Contract):
    """What the token ids of a model stand for."""

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """A text file as BERT and ERNIE have it, one token a line in the order of their ids, ``##`` before parts
    within a word; with ``[PAD]`` (first), ``[UNK]``, ``[CLS]`` and ``[SEP]``. A path, or any fsspec URI."""
    sha256: Sha256 | None = None
    """Expected SHA-256 of the file, in hex; another one is refused."""
    cased: bool = False
    """Whether it tells upper from lower case; else texts lose their capitals and accents first."""


class Lines(Contract):
    """Texts without labels, as token ids.

    ``model.inputs`` say by their names what they are: token ids, token types (``type``, ``segment`` or
    ``sent`` in the name; all 0) or a mask (``mask``; 1 where there is a token). Texts are cut or padded to
    the inputs' length.
    """

    uri: Annotated[str, Field(min_length=1, max_length=2048)]
    """A UTF-8 text file, one text a line. A path, or any fsspec URI."""
    sha256: Sha256 | None = None
    """Expected SHA-256 of the file, in hex; another one is refused."""
    vocabulary: Vocabulary
    """What the model was trained with."""
    eval_share: _Share = 0.3
    """Share of the texts that the result is measured on, drawn by ``seed``; the rest is trained on."""


class Data(Contract):
    """The data that the model is evaluated and fine-tuned on."""

    factory: Factory | None = None
    """``module:callable`` that returns ``(train, eval)``, two ``paddle.io.Dataset`` of (input..., label);
    this, ``images``, ``arrays`` or ``lines``. Without labels items are (input...): of both sets with
    ``evaluation.metric: agreement``, or of the training set alone."""
    args: Args = {}
    """Keyword arguments of the factory."""
    images: Images | None = None
    """Pictures with or without labels, in place of ``factory``; they need no code."""
    arrays: Arrays | None = None
    """Arrays without labels, in place of ``factory``; they need no code."""
    lines: Lines | None = None
    """Texts without labels, in place of ``factory``; they need no code."""
    version: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Any text. Results are of the data as they are read; where items are random by design, a change of the
    data shows only here: with another text all is measured anew."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Processes that read items ahead of training and evaluation, for items that take long to read. The
    results are the same for any number. Your data set is forked into them: its ``__getitem__`` must not use
    a GPU, nor rely on what it changed in itself at an earlier item."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.factory), has(self.images), has(self.arrays), has(self.lines)].exists_one(one, one)",
            "data needs one of factory: module:callable, images, arrays and lines, each with its uri",
            lambda s: [s.factory, s.images, s.arrays, s.lines].count(None) == 3,
        ),
    )

    @property
    def has_labels(self) -> bool:
        """Whether there may be labels."""
        return self.factory is not None or (self.images is not None and self.images.labels is not None)

    @property
    def origin(self) -> str:
        """What the data come from, for messages: the factory, or where pictures, arrays or texts are."""
        named = self.images or self.arrays or self.lines
        return str(self.factory) if named is None else named.uri

    @property
    def origin_field(self) -> str:
        """Where the spec says so."""
        kinds = {"factory": self.factory, "images": self.images, "arrays": self.arrays, "lines": self.lines}
        return f"spec.data.{next(name for name, named in kinds.items() if named is not None)}"

    def decides(self) -> dict[str, object]:
        """Return what a result depends on: all but who reads the items."""
        return {key: value for key, value in self.to_wire().items() if key != "workers"}
