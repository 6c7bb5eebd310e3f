"""What the ``inference.yml`` beside an exported model says of how pictures are prepared.

PaddleX, PaddleOCR, PaddleClas, PaddleDetection and PaddleSeg write that file at their export, and a
transformation means what their own code does with it. What is not known is refused by name; what is done in
another way is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import yaml
from PIL import Image

from secateur_api.conditions import Reason
from secateur_api.spec import Fit, Model, Order
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.files import Files

FIELD = "spec.data.images"
FILE = "inference.yml"
Settings = dict[str, Any]

_SILENT = ("KeepKeys", "ToBatch", "ToCHWImage", "Permute")
"""Transformations that touch no pixel; those that encode labels do not either."""
_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
_RESAMPLING = {
    "0 nearest": Image.Resampling.NEAREST,
    "1 linear bilinear": Image.Resampling.BILINEAR,
    "2 cubic bicubic": Image.Resampling.BICUBIC,
    "4 lanczos4 lanczos": Image.Resampling.LANCZOS,
}
"""By OpenCV's number and the tools' words."""


class _Unknown(Exception):
    """A transformation, or a setting of it, that is not known."""


@dataclass
class Said:
    """What the file says to a model whose pictures have one size and number of channels."""

    size: list[int]
    """[H, W]"""
    channels: int
    values: Settings = field(default_factory=dict)
    """``mean``, ``std``, and what there is of ``fit``, ``size``, ``scale``, ``order``, ``resampling`` and
    ``shorter``, which the shorter side is brought to before a crop."""
    otherwise: list[str] = field(default_factory=list)
    """What is done in another way than the file says, a sentence each."""


def read(model: Model, size: list[int], channels: int, with_fit: bool) -> Said | None:
    """Read the file beside the model; None where there is none. What resizes is read only ``with_fit``.

    Raises InvalidInput(DATASET_INVALID) for a file that cannot be read, what in it is not known, or one
    without NormalizeImage.
    """
    content = None
    if model.exported is not None:
        content = Files(model.exported.uri.rpartition("/")[0] or ".", Reason.DATASET_INVALID).find(FILE)
    if content is None:
        return None
    said = Said(size, channels)
    try:
        document = yaml.safe_load(content)
        for name, settings in _steps(document):
            if with_fit or not _resizes(name):
                _take(said, name, settings, is_seg="Deploy" in document)
    except (yaml.YAMLError, ArithmeticError, ValueError, TypeError, LookupError, AttributeError):
        raise _refused("cannot be read; give mean, std, fit and order") from None
    _check(said)
    return said


def _steps(document: Any) -> Iterator[tuple[str, Settings]]:
    """Yield the transformations: by key (PaddleClas, PaddleOCR) or by ``type`` (the others)."""
    if "PreProcess" in document:
        listed = document["PreProcess"]["transform_ops"]
    elif "Preprocess" in document:
        listed = document["Preprocess"]
    else:
        listed = document["Deploy"]["transforms"]
    for step in listed:
        if "type" in step:
            yield step["type"], {key: value for key, value in step.items() if key != "type"}
        else:
            ((name, settings),) = step.items()
            yield name, dict(settings or {})


def _resizes(name: str) -> bool:
    return "Resize" in name or "Crop" in name


def _take(said: Said, name: str, settings: Settings, is_seg: bool) -> None:
    """Add one transformation, which takes its settings out of ``left``; what is left, and set, is told."""
    if name in _SILENT or name.endswith("LabelEncode"):
        return
    left = dict(settings)
    try:
        if _resizes(name) and "fit" in said.values:  # after another one; CropImage alone follows one
            raise _Unknown
        if name == "Resize":
            _resize(said, left, is_seg)
        elif name in _TAKEN:
            _TAKEN[name](said, left)
        else:
            raise _Unknown
    except _Unknown:
        raise _refused(
            f"has {name} {settings or ''}, which is not known here; give mean, std, fit and order as the "
            "model was trained with"
        ) from None
    not_followed = ", ".join(f"{key}: {value}" for key, value in left.items() if value)
    if not_followed:
        said.otherwise.append(f"{name} of {FILE} says {not_followed}, which is not followed")


def _check(said: Said) -> None:
    found = said.values
    if "mean" not in found:
        raise _refused("has no NormalizeImage; give mean and std")
    mean, std, scale = found["mean"], found["std"], found["scale"]
    if len(mean) != len(std) or not np.isfinite([*mean, *std, scale]).all() or min(*std, scale) <= 0:
        raise _refused(f"has mean {mean}, std {std} and scale {scale}; give mean and std")
    if "shorter" in found and "fit" not in found:
        raise _refused(
            f"has ResizeImage to a shorter side of {found['shorter']} and no CropImage, so that each picture "
            "has a size of its own, and the model's input has one; say fit"
        )


# ---- one transformation each ----


def _decode(said: Said, left: Settings) -> None:
    mode = left.pop("img_mode", None) or ("RGB" if left.pop("to_rgb", True) else "BGR")
    left.pop("to_np", None)
    if mode not in ("RGB", "BGR") and not (mode == "GRAY" and said.channels == 1):
        raise _Unknown
    said.values["order"] = Order.BGR if mode == "BGR" else Order.RGB


def _normalize_image(said: Said, left: Settings) -> None:
    """PaddleClas', PaddleOCR's (``scale``) and PaddleDetection's (``is_scale``, ``norm_type``)."""
    for key in ("order", "is_channel_first"):
        left.pop(key, None)  # where the channels are by then; mean and std are of each channel either way
    if left.pop("channel_num", 3) != 3:
        raise _Unknown
    is_scaled, scale = left.pop("is_scale", True), left.pop("scale", None)
    given = {key: left.pop(key, None) for key in _IMAGENET}
    if left.pop("norm_type", "mean_std") == "none":
        given = {"mean": [0.0], "std": [1.0]}
    for key, value in given.items():
        said.values[key] = _floats(_IMAGENET[key] if value is None else value)
    said.values["scale"] = (1 / 255 if is_scaled else 1.0) if scale is None else _number(scale)


def _normalize(said: Said, left: Settings) -> None:
    """PaddleSeg's."""
    for key in ("mean", "std"):
        said.values[key] = _floats(left.pop(key, [0.5]))
    said.values["scale"] = 1 / 255


def _resize(said: Said, left: Settings, is_seg: bool) -> None:
    """PaddleDetection's, which says [H, W], and PaddleSeg's, which says [W, H]."""
    if left.pop("keep_ratio", not is_seg):
        raise _Unknown
    sides = _sides(left.pop("target_size"))
    said.values |= {"fit": Fit.STRETCH, "size": sides[::-1] if is_seg else sides}
    _resample(said, left.pop("interp", None))


def _resize_image(said: Said, left: Settings) -> None:
    """PaddleClas'; sizes are [W, H]."""
    size, shorter = left.pop("size", None), left.pop("resize_short", None)
    if "shorter" in said.values or (size is None) == (not shorter):
        raise _Unknown
    said.values |= {"shorter": int(shorter)} if shorter else {"fit": Fit.STRETCH, "size": _sides(size)[::-1]}
    left.pop("backend", None)
    _resample(said, left.pop("interpolation", None))


def _crop_image(said: Said, left: Settings) -> None:
    sides = _sides(left.pop("size"))[::-1]
    if max(sides) > said.values.get("shorter", 0):
        raise _Unknown
    said.values |= {"fit": Fit.CROP, "size": sides}


def _resize_line(said: Said, left: Settings) -> None:
    """PaddleOCR's for recognition and for the direction of a line, which normalises too."""
    _, *sides = left.pop("image_shape")
    for key in ("character_dict_path", "character_type", "eval_mode"):
        left.pop(key, None)
    fit = Fit.LINE if left.pop("padding", True) else Fit.STRETCH
    said.values |= {"mean": [0.5], "std": [0.5], "scale": 1 / 255, "fit": fit, "size": _sides(sides)}


def _resize_for_detection(said: Said, left: Settings) -> None:
    """PaddleOCR's, which keeps the sides' ratio, up to multiples of 32, and so has no one size."""
    said.values["fit"] = Fit.STRETCH
    if left.get("image_shape") != said.size or left.get("keep_ratio"):
        how = f" {left}" if left else ""
        said.otherwise.append(
            f"DetResizeForTest{how} of {FILE} brings each picture to a size that is not the model's; "
            f"here each is stretched to {said.size}"
        )
    left.clear()


_TAKEN: dict[str, Callable[[Said, Settings], None]] = {
    "DecodeImage": _decode,
    "NormalizeImage": _normalize_image,
    "Normalize": _normalize,
    "ResizeImage": _resize_image,
    "CropImage": _crop_image,
    "RecResizeImg": _resize_line,
    "ClsResizeImg": _resize_line,
    "DetResizeForTest": _resize_for_detection,
}


def _resample(said: Said, wanted: Any) -> None:
    if wanted is None:
        return
    word = str(wanted).lower()
    found = next((how for names, how in _RESAMPLING.items() if word in names.split()), None)
    if found is None:
        said.otherwise.append(f"interpolation {wanted} of {FILE} is not known here; bilinear is taken")
    else:
        said.values["resampling"] = found


def _sides(size: Any) -> list[int]:
    first, second = (size, size) if isinstance(size, int) else size
    return [int(first), int(second)]


def _floats(values: Any) -> list[float]:
    return [float(value) for value in (values if isinstance(values, list) else [values])]


def _number(value: Any) -> float:
    """Return a number; PaddleOCR writes ``1./255.``."""
    if isinstance(value, str):
        above, _, below = value.partition("/")
        return float(above) / float(below or 1)
    return float(value)


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(Reason.DATASET_INVALID, f"{FIELD}: {FILE} beside the model {problem}")
