"""Hard digits, and lines of them: shifted, of low contrast, noisy, and partly hidden.

Made once per seed and kept in a file, so that every arm reads the same arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from secateur_jobs.data.images import Variation, prepare
from secateur_jobs.training.batching import ArrayDataset

SIDE = 32
DIGITS_PER_LINE = 5
TRAIN, EVAL = 8000, 2000
_VARIATION = Variation(degrees=0, zoom=0, shift=0.1, contrast=0.5, noise=0)
_SIGMA = 0.25  # of the noise; an image spans 0..1
_OCCLUDER = 0.25  # side of the hidden square, as a share of the image's height
_DIGITS_TRAIN = 1200  # of scikit-learn's 1,797 images

Side = tuple[np.ndarray, np.ndarray]
"""Images [N, H, W] in 0..1, and labels [N]."""


def splits(path: str) -> tuple[ArrayDataset, ArrayDataset]:
    """Return (train, eval) as :func:`write` left them."""
    with np.load(path) as file:
        first, second = (ArrayDataset((file[f"{s}_images"], file[f"{s}_labels"])) for s in ("train", "eval"))
    return first, second


def write(kind: str, mnist: str | None, seed: int, path: Path) -> None:
    """Make 8,000 items to train on and 2,000 to evaluate, from different source images, and keep them.

    ``kind``: ``digits`` are images [1, 32, 32] with a label 0..9; ``lines`` are images [1, 32, 160] of five
    digits with labels [5] in 1..10 (0 is CTC's blank). ``mnist`` is an .npz with uint8 ``images`` [N, 28, 28]
    and ``labels``, whose last 2,000 rows are for evaluation; without it scikit-learn's digits are taken.
    """
    generator = np.random.default_rng(seed)
    make: Callable[[Side, int, np.random.Generator], Side] = {"digits": _digits, "lines": _lines}[kind]
    train, test = _sources(mnist, generator)
    arrays = {}
    for name, source, count in (("train", train, TRAIN), ("eval", test, EVAL)):
        arrays[f"{name}_images"], arrays[f"{name}_labels"] = make(source, count, generator)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)
    partial.rename(path)


def _sources(mnist: str | None, generator: np.random.Generator) -> tuple[Side, Side]:
    if mnist is None:
        digits = load_digits()
        order = generator.permutation(len(digits.images))
        images, labels, border = digits.images[order] / 16.0, digits.target[order], _DIGITS_TRAIN
    else:
        with np.load(mnist, allow_pickle=False) as file:
            images, labels = file["images"] / 255.0, file["labels"]
        border = len(images) - EVAL
    return (images[:border], labels[:border]), (images[border:], labels[border:])


def _digits(source: Side, count: int, generator: np.random.Generator) -> Side:
    images, labels = source
    rows = np.arange(count) % len(images)
    varied = prepare(images[rows], SIDE, 1, 1, _VARIATION, generator)
    return _harder(varied, generator), labels[rows].astype(np.int64)


def _lines(source: Side, count: int, generator: np.random.Generator) -> Side:
    images, labels = source
    rows = generator.integers(len(images), size=(count, DIGITS_PER_LINE))
    cells = prepare(images[rows.reshape(-1)], SIDE, 1, 1, _VARIATION, generator)
    lines = cells.reshape(count, DIGITS_PER_LINE, 1, SIDE, SIDE).transpose(0, 2, 3, 1, 4)
    return (
        _harder(lines.reshape(count, 1, SIDE, DIGITS_PER_LINE * SIDE), generator),
        labels[rows].astype(np.int64) + 1,
    )


def _harder(images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add noise and hide one square of an even grey; ``images`` [N, 1, H, W] span -1..1."""
    out = images + generator.normal(0, 2 * _SIGMA, images.shape).astype(np.float32)
    height, width = images.shape[2:]
    side = round(_OCCLUDER * height)
    for image in out:
        top, left = generator.integers(height - side + 1), generator.integers(width - side + 1)
        image[:, top : top + side, left : left + side] = generator.uniform(-1, 1)
    return out
