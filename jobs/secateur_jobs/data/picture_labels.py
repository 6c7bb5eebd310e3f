"""The classes of pictures in a text file, as PaddleClas writes its lists: a path and a number a line."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from secateur_api.conditions import Reason
from secateur_api.spec import Labels
from secateur_api.uri import redacted
from secateur_jobs.explain import near
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.files import read_named

FIELD = "spec.data.images.labels"
Classes = dict[str, int]
_DIGITS = 9
"""Of the largest number of a class."""


def read(labels: Labels, pictures: Collection[str]) -> Classes:
    """Return the class of each picture that the file names, which must be one of ``pictures``.

    Raises InvalidInput(DATASET_INVALID) naming the line, and MissingData for no file.
    """
    invalid, shown = Reason.DATASET_INVALID, redacted(labels.uri)
    content = read_named(labels.uri, labels.sha256, FIELD, invalid, invalid)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(f"{shown} is not UTF-8 text (byte {error.start})") from None
    found: Classes = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name, label = _parted(line.strip())
        where = f"{shown}, line {number}"
        if not name or not (label.isascii() and label.isdecimal()) or len(label) > _DIGITS:
            raise _refused(
                f"{where}: {line.strip()[:60]!r} is no picture's path and the number of its class, with a "
                "blank or a tab between"
            )
        if name not in pictures:
            raise _refused(f"{where}: there is no picture {name!r} in images.uri{near(name, pictures)}")
        if found.setdefault(name, int(label)) != int(label):
            raise _refused(f"{where}: {name!r} is of class {label} here and of {found[name]} above")
    return found


def _parted(line: str) -> tuple[str, str]:
    """Return path and label; a path may have blanks."""
    name, _, label = line.rpartition("\t" if "\t" in line else " ")
    return name.strip().removeprefix("./"), label


def of_parts(
    classes: Classes, labels: Labels, train: Sequence[str], measured: Sequence[str], by_folder: bool
) -> tuple[Classes, Classes]:
    """Return the classes of those trained on and measured on, where all have one.

    Those in a folder ``train`` may all have none. Raises InvalidInput(DATASET_INVALID) naming a picture.
    """
    bare = [name for name in train if name not in classes]
    if by_folder and len(bare) == len(train):
        bare = []
    bare += [name for name in measured if name not in classes]
    if bare:
        raise _refused(f"{redacted(labels.uri)} has no line for {bare[0]}; give it one, or take it out")
    first, second = ({name: classes[name] for name in part if name in classes} for part in (train, measured))
    return first, second


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(Reason.DATASET_INVALID, f"{FIELD}: {problem}")
