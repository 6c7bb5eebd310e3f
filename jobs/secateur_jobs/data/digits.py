"""Handwritten digits that ship with scikit-learn: real data, no download.

1,797 grey images of 8x8: the test set of Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits",
UCI, 1998.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from secateur_jobs.data.images import Variation, prepare
from secateur_jobs.training.batching import ArrayDataset

TRAIN_IMAGES = 1200


def splits(
    size: int = 32, channels: int = 1, train_copies: int = 4, eval_copies: int = 2, seed: int = 0
) -> tuple[ArrayDataset, ArrayDataset]:
    """Return (train, eval) of items (image float32 [channels, size, size], label int64).

    1,200 images are for training and the other 597 for evaluation, so no image is on both sides; each one
    appears in ``train_copies`` / ``eval_copies`` fixed variations. ``seed`` decides both.
    """
    images, labels = load_digits()
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(images))
    sides = (order[:TRAIN_IMAGES], train_copies), (order[TRAIN_IMAGES:], eval_copies)
    train, test = (
        ArrayDataset(
            (
                prepare(images[rows] / 16.0, size, channels, copies, Variation(), generator),
                np.repeat(labels[rows], copies),
            )
        )
        for rows, copies in sides
    )
    return train, test


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return (images float64 [1797, 8, 8] of 0 to 16, labels int64), as scikit-learn does under this name.

    Its file is read without its code: importing scikit-learn takes longer than importing Paddle. Raises
    ModuleNotFoundError without scikit-learn.
    """
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    table = np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
