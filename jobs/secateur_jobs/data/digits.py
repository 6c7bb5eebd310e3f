"""Handwritten digits that ship with scikit-learn: real data, no download.

1,797 grey images of 8x8: the test set of Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits",
UCI, 1998.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

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
    digits = load_digits()
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(digits.images))
    sides = (order[:TRAIN_IMAGES], train_copies), (order[TRAIN_IMAGES:], eval_copies)
    train, test = (
        ArrayDataset(
            (
                prepare(digits.images[rows] / 16.0, size, channels, copies, Variation(), generator),
                np.repeat(digits.target[rows], copies).astype(np.int64),
            )
        )
        for rows, copies in sides
    )
    return train, test
