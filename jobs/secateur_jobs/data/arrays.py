"""The user's own images in one ``.npz`` file."""

from __future__ import annotations

import numpy as np

from secateur_jobs.data.images import Variation, prepare
from secateur_jobs.training.batching import ArrayDataset

_STILL = Variation(degrees=0, zoom=0, shift=0, contrast=0, noise=0)


def npz_splits(
    path: str,
    train_rows: int,
    eval_rows: int,
    size: int = 32,
    channels: int = 1,
    train_copies: int = 1,
    augment: bool = True,
    seed: int = 0,
) -> tuple[ArrayDataset, ArrayDataset]:
    """Return (train, eval) of items (image float32 [channels, size, size], label int64).

    ``path`` holds ``images`` uint8 [N, H, W] and ``labels`` [N]. The first ``train_rows`` rows are for
    training, varied in ``train_copies`` fixed copies unless ``augment`` is off; the last ``eval_rows`` are
    for evaluation and are only scaled.

    Raises FileNotFoundError, or ValueError if the file is something else or has too few rows.
    """
    with np.load(path, allow_pickle=False) as file:
        missing = {"images", "labels"} - set(file.files)
        if missing:
            raise ValueError(f"{path} has {sorted(file.files)}; it must have 'images' and 'labels'")
        images, labels = file["images"], file["labels"]
    if images.ndim != 3 or len(images) != len(labels):
        raise ValueError(f"images are {images.shape}, labels {labels.shape}; expected [N, H, W] and [N]")
    if train_rows < 1 or eval_rows < 1 or train_rows + eval_rows > len(images):
        raise ValueError(f"{train_rows} + {eval_rows} rows asked for, {path} has {len(images)}")
    generator = np.random.default_rng(seed)
    sides = (
        (slice(0, train_rows), train_copies, Variation() if augment else _STILL),
        (slice(len(images) - eval_rows, None), 1, _STILL),
    )
    train, test = (
        ArrayDataset(
            (
                prepare(images[rows] / 255.0, size, channels, copies, variation, generator),
                np.repeat(labels[rows], copies).astype(np.int64),
            )
        )
        for rows, copies, variation in sides
    )
    return train, test
