"""Data that need no code, as the command line names them: pictures, arrays or texts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from secateur_api.spec import Data
from secateur_api.uri import local_path
from secateur_operator.asked_model import WrongWords


@dataclass(frozen=True)
class Asked:
    """The options that name data, as they were given."""

    images: str | None
    labels: str | None
    mean: str | None
    std: str | None
    arrays: str | None
    lines: str | None
    vocabulary: str | None
    factory: str | None


def data_of(asked: Asked) -> Data | None:
    """Return the data that need no code, with absolute paths; None for a factory's. Raises WrongWords."""
    named = {"images": asked.images, "arrays": asked.arrays, "lines": asked.lines, "data": asked.factory}
    given = {name: uri for name, uri in named.items() if uri is not None}
    if not given:
        raise WrongWords(
            "data are missing: give --images FOLDER, --arrays FILE or --lines FILE (no labels), or --data "
            "module:callable"
        )
    if len(given) > 1:
        raise WrongWords(f"{' and '.join(f'--{name}' for name in given)}: give one of them")
    if asked.images is None and (asked.mean is not None or asked.std is not None):
        raise WrongWords("--mean and --std say how pictures are prepared; give --images too")
    if asked.images is None and asked.labels is not None:
        raise WrongWords("--labels says of what class pictures are; give --images too")
    if (asked.lines is None) != (asked.vocabulary is None):
        raise WrongWords("--lines and --vocabulary come together: texts, and the vocab.txt of the model")
    if asked.factory is not None:
        return None
    ((kind, uri),) = given.items()
    part: dict[str, Any] = {"uri": _absolute(uri)}
    if asked.images is not None:
        part |= _prepared(asked)
    if asked.labels is not None:
        part["labels"] = {"uri": _absolute(asked.labels)}
    if asked.vocabulary is not None:
        part["vocabulary"] = {"uri": _absolute(asked.vocabulary)}
    try:
        return Data.model_validate({kind: part})
    except ValidationError as error:
        where = "--mean, --std" if kind == "images" else f"--{kind}"
        raise WrongWords(f"{where}: {error.errors()[0]['msg']}") from None


def written(data: Data, out: Path) -> dict[str, Any]:
    """Return ``spec.data`` as the file ``out`` has it: paths relative to its folder, no defaults."""
    ((kind, part),) = data.model_dump(mode="json", by_alias=True, exclude_defaults=True).items()
    part["uri"] = beside(part["uri"], out)
    for named in ("labels", "vocabulary"):
        if named in part:
            part[named]["uri"] = beside(part[named]["uri"], out)
    return {kind: part}


def beside(uri: str, out: Path) -> str:
    """Return a path as the file that is written names it: relative to its folder."""
    path = local_path(uri)
    return uri if path is None else os.path.relpath(path.absolute(), out.absolute().parent)


def _absolute(uri: str) -> str:
    path = local_path(uri)
    return uri if path is None else str(path.absolute())


def _prepared(asked: Asked) -> dict[str, list[float]]:
    path = local_path(str(asked.images))
    if path is not None and not path.exists():
        raise WrongWords(f"--images: there is no folder {asked.images}")
    named = {"mean": asked.mean, "std": asked.std}
    return {name: _numbers(text, name) for name, text in named.items() if text}


def _numbers(text: str, name: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise WrongWords(f"--{name} {text!r} is no list of numbers, such as 0.485,0.456,0.406") from None
