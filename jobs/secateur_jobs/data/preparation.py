"""From a picture to the model's input: what the spec says, and what the model's own ``inference.yml`` says.

PaddleX and PaddleOCR write that file beside an exported model. Only transformations whose meaning is known
are taken from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from PIL import Image

from secateur_api.conditions import Reason
from secateur_api.spec import Fit, Images, InputSpec, Layout, Model, Order
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.runtime.files import Files

FIELD = "spec.data.images"
FILE = "inference.yml"
_CROPPED = 7 / 8
_SILENT = ("KeepKeys", "ToBatch", "MultiLabelEncode", "CTCLabelEncode")
"""Transformations that touch no pixel."""
_LINE = {"mean": [0.5], "std": [0.5], "scale": 1 / 255, "fit": Fit.LINE}
"""What PaddleOCR's ``RecResizeImg`` does besides resizing."""


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes an input."""

    height: int
    width: int
    channels: int
    fit: Fit
    mean: np.ndarray
    """[channels or 1]"""
    std: np.ndarray
    scale: float
    layout: Layout
    order: Order

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Return the input float32 [channels, H, W] (``NHWC``: [H, W, channels]) of a picture."""
        pixels = np.asarray(self._resized(image), np.float32)
        pixels = pixels.reshape(*pixels.shape[:2], self.channels)
        if self.order is Order.BGR:
            pixels = pixels[..., ::-1]
        values = np.zeros((self.height, self.width, self.channels), np.float32)
        values[:, : pixels.shape[1]] = (pixels * self.scale - self.mean) / self.std
        return values if self.layout is Layout.NHWC else np.ascontiguousarray(values.transpose(2, 0, 1))

    def _resized(self, image: Image.Image) -> Image.Image:
        size, box = (self.width, self.height), None
        if self.fit is Fit.CROP:
            factor = min(image.width / self.width, image.height / self.height) * _CROPPED
            width, height = self.width * factor, self.height * factor
            left, top = (image.width - width) / 2, (image.height - height) / 2
            box = (left, top, left + width, top + height)
        elif self.fit is Fit.LINE:
            size = (min(self.width, max(1, round(self.height * image.width / image.height))), self.height)
        return image.resize(size, Image.Resampling.BILINEAR, box=box)

    def __str__(self) -> str:
        """Say all of it in the words of the spec."""
        mean, std = ([round(float(v), 6) for v in values] for values in (self.mean, self.std))
        return (
            f"size [{self.height}, {self.width}], fit {self.fit.value}, mean {mean}, std {std}, scale "
            f"{self.scale:.6g}, layout {self.layout.value}, order {self.order.value}"
        )


def preparation_of(images: Images, model: Model) -> tuple[Preparation, str]:
    """Return how pictures are prepared, and what of it the spec does not say (empty: all is said).

    Raises InvalidInput(DATASET_INVALID) where neither the spec nor an ``inference.yml`` gives mean and std,
    the file has a transformation that is not known, or the model's input is of another size or number of
    channels.
    """
    (declared,) = model.inputs
    layout = images.layout or _layout(declared)
    height, width, channels = _extents(declared, layout)
    found = _from_file(images, model) if images.mean is None else {}
    said = {
        name: value
        for name in ("fit", "mean", "std", "scale", "order")
        if (value := getattr(images, name)) is not None
    }
    size = images.size or found.get("size") or [height, width]
    if size != [height, width]:
        where = "size" if images.size else f"the size that {FILE} says"
        raise _refused(
            f"{where} is {size}, spec.model.inputs[0].shape {declared.shape} has [{height}, {width}]"
        )
    values = {"fit": Fit.STRETCH, "scale": 1 / 255, "order": Order.RGB, **found, **said}
    mean, std = (np.asarray(values[name], np.float32) for name in ("mean", "std"))
    if len(mean) not in (1, channels):
        raise _refused(f"mean has {len(mean)} numbers, the model's input {channels} channels")
    preparation = Preparation(
        height, width, channels, values["fit"], mean, std, values["scale"], layout, values["order"]
    )
    source = f"is as {FILE} beside the model says" if found else "is in part by default"
    unsaid = [name for name in ("fit", "scale", "order") if name not in said]
    return preparation, f"how pictures are prepared {source}: {preparation}" if found or unsaid else ""


def _layout(declared: InputSpec) -> Layout:
    if declared.shape[1] in (1, 3):
        return Layout.NCHW
    return Layout.NHWC


def _extents(declared: InputSpec, layout: Layout) -> tuple[int, int, int]:
    """Return height, width and channels of the model's input."""
    _, *shape = declared.shape
    height, width, channels = shape if layout is Layout.NHWC else (*shape[1:], shape[0])
    if channels not in (1, 3):
        raise _refused(
            f"layout {layout.value} gives the model's input {declared.shape} {channels} channels; a picture "
            "has 1 or 3"
        )
    return height, width, channels


# ---- the model's own file ----


def _from_file(images: Images, model: Model) -> dict[str, Any]:
    """Return mean, std and what else the file beside an exported model says, in the spec's words."""
    content = None
    if model.exported is not None:
        content = Files(model.exported.uri.rpartition("/")[0] or ".", Reason.DATASET_INVALID).find(FILE)
    if content is None:
        raise _refused(
            f"mean and std are missing, and no {FILE} beside the model says them; give those it was trained "
            "with, such as mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]"
        )
    try:
        steps = list(_steps(yaml.safe_load(content)))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, TypeError, AttributeError):
        raise _refused(f"{FILE} beside the model cannot be read; give mean, std, fit and order") from None
    found: dict[str, Any] = {}
    for name, settings in steps:
        if images.fit is None or not ("Resize" in name or "Crop" in name):
            found |= _meaning(name, settings)
    if "mean" not in found:
        raise _refused(f"{FILE} beside the model has no NormalizeImage; give mean and std")
    return found


def _steps(document: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the transformations: by key (PaddleClas, PaddleOCR) or by ``type`` (PaddleDetection)."""
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
            yield name, settings or {}


def _meaning(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Say one transformation in the words of the spec."""
    if name == "DecodeImage":
        is_bgr = settings.get("img_mode", "RGB") == "BGR"
        return {"order": Order.BGR if is_bgr else Order.RGB}
    if name in ("NormalizeImage", "Normalize"):
        return _normalised(name, settings)
    if name == "RecResizeImg" and "image_shape" in settings:
        return {**_LINE, "size": list(settings["image_shape"])[1:]}
    if name in ("Resize", "ResizeImage") and not settings.get("keep_ratio"):
        size = settings.get("target_size", settings.get("size"))
        if size is not None:
            sides = [size, size] if isinstance(size, int) else list(size)
            return {"fit": Fit.STRETCH, "size": sides[::-1] if name == "ResizeImage" else sides}
    if name in ("ToCHWImage", "Permute", *_SILENT):
        return {}
    raise _refused(
        f"{FILE} beside the model has {name} {settings or ''}, which is not known here; give mean, std, fit "
        "and order as the model was trained with"
    )


def _normalised(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    scale = settings.get("scale", 1 / 255 if settings.get("is_scale", True) else 1.0)
    if settings.get("norm_type", "mean_std") == "none":
        mean, std = [0.0], [1.0]
    else:
        mean, std = (_floats(settings.get(key, [0.5])) for key in ("mean", "std"))
    return {"mean": mean, "std": std, "scale": _number(scale)}


def _floats(values: Any) -> list[float]:
    return [float(value) for value in (values if isinstance(values, list) else [values])]


def _number(value: Any) -> float:
    """Return a number; PaddleOCR writes ``1./255.``."""
    if isinstance(value, str):
        above, _, below = value.partition("/")
        return float(above) / float(below or 1)
    return float(value)


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(Reason.DATASET_INVALID, f"{FIELD}: {problem}")
