"""Pictures in a folder, a zip file or a bucket, as a job's data."""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from secateur_api.conditions import Reason
from secateur_api.spec import Images, Model
from secateur_api.uri import redacted
from secateur_jobs.data import picture_labels
from secateur_jobs.data.apart import apart, counted, in_memory, too_few
from secateur_jobs.data.image_folder import EXTENSIONS
from secateur_jobs.data.inference_yml import FIELD
from secateur_jobs.data.picture_labels import Classes
from secateur_jobs.data.preparation import Preparation, preparation_of
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.runtime.files import Files, read_named
from secateur_jobs.training.batching import NO_LABEL, without_labels
from secateur_jobs.user_code import Splits

T = TypeVar("T")
_LARGEST = 64 * 2**20
"""Bytes of one file, as it lies there or unpacked."""
_GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "F")


class Album(Protocol):
    """Where pictures are."""

    names: list[str]
    """Of all files, in a fixed order."""

    def read(self, name: str) -> bytes:
        """Return one file's content."""


class Pictures(paddle.io.Dataset):
    """Items (input, class or no label) of some pictures; each is read when it is asked for."""

    def __init__(self, album: Album, names: Sequence[str], prepare: Preparation, classes: Classes) -> None:
        """``classes`` are those of all, or of none."""
        super().__init__()
        self._album, self._names, self._prepare = album, names, prepare
        self._labels = [np.asarray(classes[name], np.int64) if classes else NO_LABEL for name in names]

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        name = self._names[index]
        image = _decoded(self._album.read(name), name)
        if self._prepare.channels == 3 and image.mode in _GREY:
            raise _refused(
                f"{name} is a grey picture, and the model takes colour; convert it, or leave it out"
            )
        values = self._prepare(image.convert("L" if self._prepare.channels == 1 else "RGB"))
        return values, self._labels[index]


def splits(images: Images, model: Model, seed: int) -> Splits:
    """Return (train, eval) of the pictures: those in the folders ``train`` and ``val``, where there are both.

    Else which is for what depends on ``seed`` and their number alone. Items are (input float32
    [channels, H, W], class int64 or nothing). Raises InvalidInput(DATASET_INVALID) for a picture that cannot
    be read, a grey one for a model of three channels, labels that do not fit, and what ``preparation_of``
    raises; MissingData for no picture at all.
    """
    prepare, _ = preparation_of(images, model)
    album = _album(images)
    names = [name for name in album.names if _is_picture(name)]
    if len(names) < 2:
        raise MissingData(
            Reason.DATASET_INVALID,
            f"{FIELD}.uri: {redacted(images.uri)} has {too_few(len(names), 'picture')}; pictures are "
            f"{', '.join(EXTENSIONS)}",
        )
    by_folder = _by_folder(names)
    parts = by_folder or [[names[i] for i in part] for part in apart(len(names), images.eval_share, seed)]
    classes: Sequence[Classes] = ({}, {})
    if images.labels is not None:
        known = picture_labels.read(images.labels, frozenset(names))
        classes = picture_labels.of_parts(known, images.labels, parts[0], parts[1], by_folder is not None)
    train, measured = (
        without_labels(Pictures(album, part, prepare, {}), inputs=1)
        if not labels
        else Pictures(album, part, prepare, labels)
        for part, labels in zip(parts, classes, strict=True)
    )
    return in_memory(train, measured, len(names) * prepare.height * prepare.width * prepare.channels * 4)


def _by_folder(names: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """Return the names in ``train`` and in ``val``; None where one of the folders is missing."""
    parts = {folder: [n for n in names if n.startswith(f"{folder}/")] for folder in ("train", "val")}
    if not all(parts.values()):
        return None
    elsewhere = [n for n in names if not n.startswith(("train/", "val/"))]
    if elsewhere:
        raise _refused(
            f"{elsewhere[0]} is in neither of the folders train and val; move it, or do without them"
        )
    return parts["train"], parts["val"]


def notes_of(images: Images, model: Model, found: Splits) -> list[str]:
    """Say what a user of :func:`splits` should know: how many for what, and what the spec does not say."""
    _, unsaid = preparation_of(images, model)
    return [counted("pictures", found), *unsaid]


def _is_picture(name: str) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
    return not hidden and name.lower().endswith(EXTENSIONS)


def _decoded(content: bytes, name: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as file:
                return ImageOps.exif_transpose(file)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise _refused(f"{name} is no picture that can be read: {_short(error)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _refused(f"{name} has more than {Image.MAX_IMAGE_PIXELS} pixels; make it smaller") from None


def _short(error: Exception) -> str:
    return str(error).replace(" <_io.BytesIO object", "").split(" at 0x")[0]


# ---- where they are ----


def _album(images: Images) -> Album:
    return _Zip(images) if images.uri.endswith(".zip") else _Folder(images.uri)


class _Folder:
    """A folder or bucket, with those inside."""

    def __init__(self, uri: str) -> None:
        self._files = Files(uri, Reason.DATASET_INVALID, f"{FIELD}.uri: ")
        self._sizes = {name: entry.bytes for name, entry in self._files.walk("").items()}
        self.names = sorted(self._sizes)

    def read(self, name: str) -> bytes:
        if self._sizes[name] > _LARGEST:
            raise _too_large(name)
        return self._files.read(name)


class _Zip:
    """A zip file; nothing of it is unpacked to disk, and of no file more than :data:`_LARGEST`."""

    def __init__(self, images: Images) -> None:
        invalid = Reason.DATASET_INVALID
        content = read_named(images.uri, images.sha256, FIELD, invalid, invalid)
        self._zip = _opened(lambda: zipfile.ZipFile(io.BytesIO(content)), redacted(images.uri))
        self.names = sorted({info.filename for info in self._zip.infolist() if not info.is_dir()})

    def read(self, name: str) -> bytes:
        def bounded() -> bytes:
            with self._zip.open(name) as file:
                return file.read(_LARGEST + 1)

        content = _opened(bounded, name)
        if len(content) > _LARGEST:
            raise _too_large(name)
        return content


def _opened(call: Callable[[], T], name: str) -> T:
    try:
        return call()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _refused(f"{name} cannot be unpacked: {error}") from None


def _too_large(name: str) -> InvalidInput:
    return _refused(f"{name} has more than {_LARGEST >> 20} MiB; make it smaller")


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(Reason.DATASET_INVALID, f"{FIELD}: {problem}")
