"""From a picture to the model's input, as the spec says and the model's own ``inference.yml``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from secateur_api.conditions import Reason
from secateur_api.spec import Fit, Images, InputSpec, Layout, Model, Order
from secateur_jobs.data.inference_yml import FIELD, FILE, Said, read
from secateur_jobs.runtime.errors import InvalidInput

_CROPPED = 7 / 8
_CHOSEN = ("fit", "scale", "order")
"""What has a default where nothing says it."""
_OF_FILE = ("shorter", "resampling")


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
    shorter: int | None = None
    """What the shorter side is brought to before a crop; None: 8/7 of the size."""
    resampling: Image.Resampling = Image.Resampling.BILINEAR

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
        if self.fit is Fit.CROP and self.shorter is not None:
            return self._middle(image, self.shorter)
        size, box = (self.width, self.height), None
        if self.fit is Fit.CROP:
            factor = min(image.width / self.width, image.height / self.height) * _CROPPED
            width, height = self.width * factor, self.height * factor
            left, top = (image.width - width) / 2, (image.height - height) / 2
            box = (left, top, left + width, top + height)
        elif self.fit is Fit.LINE:
            size = (min(self.width, math.ceil(self.height * image.width / image.height)), self.height)
        return image.resize(size, self.resampling, box=box)

    def _middle(self, image: Image.Image, shorter: int) -> Image.Image:
        """Cut the middle out as PaddleClas does, in whole pixels."""
        factor = shorter / min(image.size)
        scaled = image.resize((round(image.width * factor), round(image.height * factor)), self.resampling)
        left, top = (scaled.width - self.width) // 2, (scaled.height - self.height) // 2
        return scaled.crop((left, top, left + self.width, top + self.height))

    def __str__(self) -> str:
        """Say all of it in the words of the spec."""
        mean, std = ([round(float(v), 6) for v in values] for values in (self.mean, self.std))
        before = "" if self.shorter is None else f" (the shorter side {self.shorter} before)"
        plain = self.resampling is Image.Resampling.BILINEAR
        return (
            f"size [{self.height}, {self.width}], fit {self.fit.value}{before}, mean {mean}, std {std}, "
            f"scale {self.scale:.6g}, layout {self.layout.value}, order {self.order.value}"
            f"{'' if plain else f', resampling {self.resampling.name.lower()}'}"
        )


def preparation_of(images: Images, model: Model) -> tuple[Preparation, list[str]]:
    """Return how pictures are prepared, and notes on what of it the spec does not say.

    Raises InvalidInput(DATASET_INVALID) where neither the spec nor an ``inference.yml`` gives mean and std,
    the file has a transformation that is not known, or the model's input is of another size or number of
    channels.
    """
    (declared,) = model.inputs
    layout = images.layout or _layout(declared)
    height, width, channels = _extents(declared, layout)
    found = _from_file(images, model, [height, width], channels)
    stated = {
        name: value for name in (*_CHOSEN, "mean", "std") if (value := getattr(images, name)) is not None
    }
    values = {"fit": Fit.STRETCH, "scale": 1 / 255, "order": Order.RGB, **found.values, **stated}
    size = images.size or found.values.get("size") or [height, width]
    if size != [height, width]:
        where = "size" if images.size else f"the size that {FILE} says"
        raise _refused(
            f"{where} is {size}, spec.model.inputs[0].shape {declared.shape} has [{height}, {width}]"
        )
    mean, std = (np.asarray(values[name], np.float32) for name in ("mean", "std"))
    if len(mean) not in (1, channels):
        raise _refused(f"mean has {len(mean)} numbers, the model's input {channels} channels")
    chosen = {name: values[name] for name in (*_CHOSEN, *_OF_FILE) if name in values}
    preparation = Preparation(height, width, channels, mean=mean, std=std, layout=layout, **chosen)
    source = f"is as {FILE} beside the model says" if found.values else "is in part by default"
    if not found.values and stated.keys() >= set(_CHOSEN):
        return preparation, []
    return preparation, [f"how pictures are prepared {source}: {preparation}", *found.otherwise]


def _from_file(images: Images, model: Model, size: list[int], channels: int) -> Said:
    """Return what the file beside an exported model says of what the spec leaves out."""
    if images.mean is not None:
        return Said(size, channels)
    found = read(model, size, channels, with_fit=images.fit is None)
    if found is None:
        raise _refused(
            f"mean and std are missing, and no {FILE} beside the model says them; give those it was trained "
            "with, such as mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]"
        )
    return found


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


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(Reason.DATASET_INVALID, f"{FIELD}: {problem}")
