"""Drawn boxes of strokes on a noisy ground: a detector's data, without a download."""

from __future__ import annotations

import numpy as np

from secateur_jobs.training.batching import ArrayDataset

_GAP = 3


def splits(
    train_images: int = 512,
    eval_images: int = 128,
    size: int = 64,
    boxes: int = 3,
    channels: int = 1,
    seed: int = 0,
) -> tuple[ArrayDataset, ArrayDataset]:
    """Return (train, eval) of (image float32 [channels, size, size], mask float32 [1, size, size]).

    Each image has one to ``boxes`` upright boxes that do not touch, filled with strokes as text is; the mask
    is 1 inside of them. ``seed`` decides everything. Raises ValueError for a size below 32 or no images.
    """
    if size < 32 or min(train_images, eval_images, boxes, channels) < 1:
        raise ValueError(f"size is {size}, must be 32 or more; images, boxes and channels 1 or more")
    generator = np.random.default_rng(seed)

    def one_side(count: int) -> ArrayDataset:
        drawn = [_draw(size, boxes, generator) for _ in range(count)]
        images = np.stack([image for image, _ in drawn])[:, None]
        masks = np.stack([mask for _, mask in drawn])[:, None]
        return ArrayDataset((np.repeat(images, channels, axis=1), masks))

    return one_side(train_images), one_side(eval_images)


def _draw(size: int, boxes: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    image = generator.normal(0, 0.2, (size, size)).astype(np.float32) + generator.uniform(-0.3, 0.3)
    mask = np.zeros((size, size), np.float32)
    for _ in range(int(generator.integers(1, boxes + 1))):
        height, width = int(generator.integers(8, size // 3)), int(generator.integers(12, size // 2))
        top, left = (int(generator.integers(0, size - side + 1)) for side in (height, width))
        around = mask[max(0, top - _GAP) : top + height + _GAP, max(0, left - _GAP) : left + width + _GAP]
        if around.any():
            continue
        strokes = generator.random((height, width)) < 0.6
        image[top : top + height, left : left + width] += np.where(strokes, generator.uniform(0.7, 1.2), -0.2)
        mask[top : top + height, left : left + width] = 1
    return image, mask
