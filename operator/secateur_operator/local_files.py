"""Files of this machine that a PruningJob names: found, made absolute, and pinned by their digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from secateur_api import InvalidResource, Problem, PruningJob
from secateur_api.code_digest import code_sha256, hiding
from secateur_api.spec import (
    Arrays,
    Code,
    Data,
    Exported,
    FineTune,
    Images,
    Labels,
    Lines,
    SensitivityFile,
    Vocabulary,
    Weights,
)
from secateur_api.uri import local_path, redacted

F = TypeVar("F", Weights, SensitivityFile, Images, Labels, Arrays, Lines, Vocabulary)


def pinned(job: PruningJob, folder: Path, code: Path | None) -> PruningJob:
    """Return the job with absolute, pinned local files; relative ones are relative to ``folder``.

    ``code`` is the folder given by ``--code``, relative to the current folder. Raises InvalidResource.
    """
    spec = job.spec
    if spec.model.weights is not None:
        weights = _pinned(spec.model.weights, folder, "spec.model.weights")
        spec = spec.model_copy(update={"model": spec.model.model_copy(update={"weights": weights})})
    if spec.model.exported is not None:
        exported = _exported(spec.model.exported, folder)
        spec = spec.model_copy(update={"model": spec.model.model_copy(update={"exported": exported})})
    spec = spec.model_copy(update={"data": _data(spec.data, folder)})
    spec = spec.model_copy(update={"fine_tune": _with_teacher(spec.fine_tune, folder)})
    if spec.sensitivity.file is not None:
        curves = _pinned(spec.sensitivity.file, folder, "spec.sensitivity.file")
        spec = spec.model_copy(update={"sensitivity": spec.sensitivity.model_copy(update={"file": curves})})
    if code is not None:
        spec = spec.model_copy(update={"code": code_at(code.absolute(), "--code")})
    elif spec.code is not None:
        spec = spec.model_copy(update={"code": _checked_code(spec.code, folder)})
    return job.model_copy(update={"spec": spec})


def _with_teacher(fine_tune: FineTune, folder: Path) -> FineTune:
    distillation = fine_tune.distillation
    if distillation.teacher is None:
        return fine_tune
    field = "spec.fineTune.distillation.teacher.weights"
    weights = _pinned(distillation.teacher.weights, folder, field)
    teacher = distillation.teacher.model_copy(update={"weights": weights})
    return fine_tune.model_copy(update={"distillation": distillation.model_copy(update={"teacher": teacher})})


def _pinned(named: F, folder: Path, field: str) -> F:
    """Return a file that the spec names with its absolute path and its digest."""
    path = _local(named.uri, folder)
    if path is None:
        return named
    digest = _sha256([path], named.sha256, field)
    return named.model_copy(update={"uri": str(path), "sha256": digest})


def _exported(model: Exported, folder: Path) -> Exported:
    paths = [path for path in (_local(uri, folder) for uri in model.uris) if path is not None]
    if not paths:
        return model
    digest = _sha256(paths, model.sha256, "spec.model.exported")
    return model.model_copy(update={"uri": str(paths[0]), "sha256": digest})


def _data(data: Data, folder: Path) -> Data:
    found: dict[str, Images | Arrays | Lines] = {}
    if data.images is not None:
        found["images"] = _images(data.images, folder)
    if data.arrays is not None:
        found["arrays"] = _pinned(data.arrays, folder, "spec.data.arrays")
    if data.lines is not None:
        lines = _pinned(data.lines, folder, "spec.data.lines")
        vocabulary = _pinned(lines.vocabulary, folder, "spec.data.lines.vocabulary")
        found["lines"] = lines.model_copy(update={"vocabulary": vocabulary})
    return data.model_copy(update=found)


def _images(images: Images, folder: Path) -> Images:
    if images.labels is not None:
        labels = _pinned(images.labels, folder, "spec.data.images.labels")
        images = images.model_copy(update={"labels": labels})
    path = _local(images.uri, folder)
    if path is None:
        return images
    if path.suffix == ".zip":
        return _pinned(images, folder, "spec.data.images")
    if not path.is_dir():
        raise InvalidResource([Problem("spec.data.images.uri", f"there is no folder {path}")])
    return images.model_copy(update={"uri": str(path)})


def _sha256(paths: Sequence[Path], expected: str | None, field: str) -> str:
    """Return the digest of the files' bytes, one after another, which must be the expected one."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
        except OSError as error:
            message = f"cannot read {path}: {error.strerror}"
            raise InvalidResource([Problem(f"{field}.uri", message)]) from None
    found = digest.hexdigest()
    if expected not in (None, found):
        shown = " and ".join(map(str, paths))
        message = f"{shown} has {found}, expected {expected}; it is another file, or cut short"
        raise InvalidResource([Problem(f"{field}.sha256", message)])
    return found


def _checked_code(code: Code, folder: Path) -> Code:
    path = _local(code.uri, folder)
    if path is None:
        message = (
            f"{redacted(code.uri)!r} is not on this machine; give a folder, wheel or zip here, or use --code"
        )
        raise InvalidResource([Problem("spec.code.uri", message)])
    found = code_at(path, "spec.code.uri")
    if found.sha256 != code.sha256:
        message = f"{path} has {found.sha256}; write that, or leave code out and use --code"
        raise InvalidResource([Problem("spec.code.sha256", message)])
    return found


def code_at(path: Path, field: str) -> Code:
    """Return the folder, wheel or zip with its digest; ``field`` names it. Raises InvalidResource."""
    if os.pathsep in str(path):
        message = (
            f"{path} has {os.pathsep!r} in its path, where Python's search path ends a folder; rename it"
        )
        raise InvalidResource([Problem(field, message)])
    try:
        digest = code_sha256(path)
        hides = hiding(path) if path.is_dir() else None
    except OSError as error:
        raise InvalidResource([Problem(field, f"cannot read {path}: {error.strerror}")]) from None
    if path.is_dir() and not any(path.rglob("*.py")):
        raise InvalidResource([Problem(field, f"{path} has no Python files")])
    if hides is not None:  # a stage could not even start to say so
        raise InvalidResource([Problem(field, f"{path}: {hides}")])
    return Code(uri=str(path), sha256=digest)


def _local(uri: str, folder: Path) -> Path | None:
    path = local_path(uri)
    return None if path is None else (folder / path).absolute()
