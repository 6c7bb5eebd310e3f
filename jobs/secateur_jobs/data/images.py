"""From small grey images to a training set: up-scaled, varied, normalised, repeatable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform


@dataclass(frozen=True)
class Variation:
    """How far copies of an image may differ from it; every value is drawn evenly from its range."""

    degrees: float = 12.0
    """Rotation, either way."""
    zoom: float = 0.12
    """Relative change of size, either way."""
    shift: float = 0.1
    """Displacement either way along each axis, as a share of the side."""
    contrast: float = 0.5
    """Largest share of the contrast that is taken away."""
    noise: float = 0.15
    """Largest standard deviation of Gaussian noise; the image spans 0..1."""


def prepare(
    images: np.ndarray,
    size: int,
    channels: int,
    copies: int,
    variation: Variation,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return float32 [N * copies, channels, size, size] of mean about 0 from ``images`` [N, H, W] in 0..1.

    The copies of an image follow each other, each one varied on its own.
    """
    out = np.empty((len(images) * copies, 1, size, size), np.float32)
    for index in range(len(out)):
        out[index, 0] = _vary(images[index // copies], size, variation, generator)
    return np.repeat((out - 0.5) * 2, channels, axis=1)


def _vary(image: np.ndarray, size: int, v: Variation, generator: np.random.Generator) -> np.ndarray:
    """Rotate, zoom, shift and up-scale in one interpolation; then take away contrast and add noise."""
    angle, zoom, dy, dx, contrast, noise = generator.uniform(-1, 1, 6)
    turn = np.deg2rad(angle * v.degrees)
    scale = (1 + zoom * v.zoom) / np.array(image.shape) * size
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale[:, None]
    centre = (np.array(image.shape) - 1) / 2
    target = (size - 1) / 2 + np.array([dy, dx]) * v.shift * size
    out = affine_transform(image, matrix, centre - matrix @ target, (size, size), order=1, mode="constant")
    out = 0.5 + (out - 0.5) * (1 - abs(contrast) * v.contrast)
    return out + generator.normal(0, abs(noise) * v.noise, out.shape)
