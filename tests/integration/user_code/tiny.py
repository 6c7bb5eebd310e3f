"""A user's module for whole jobs in seconds, and the mistakes that users make in such a module."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn


class Tiny(nn.Layer):
    """Three small convolutions; input [N, 1, 8, 8], output [N, classes]."""

    def __init__(self, classes: int = 4, width: int = 16, product: bool = False) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2D(1, 8, 3, padding=1), nn.BatchNorm2D(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2D(8, width, 3, padding=1), nn.BatchNorm2D(width), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2D(width, 16, 3, padding=1), nn.BatchNorm2D(16), nn.ReLU())
        self.pool = nn.MaxPool2D(4)
        self.head = nn.Linear(64, classes)
        self._product = product

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        features = self.pool(self.third(self.second(self.first(image))))
        output = self.head(paddle.flatten(features, 1))
        return paddle.cumprod(output, 1) if self._product else output


class OnlyLinear(nn.Layer):
    """Nothing in it can be cut: one linear layer, whose outputs are the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 4)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        return self.head(paddle.flatten(image, 1))


def broken() -> nn.Layer:
    """Raise, as a factory with a mistake does."""
    return nn.Linear(4, {}["width"])


def a_list() -> list[nn.Layer]:
    """Return no Layer."""
    return [nn.Linear(4, 4)]


class Corners(paddle.io.Dataset):
    """Noise with one bright corner, which is the label; item i is always the same."""

    def __init__(self, images: int, seed: int, broken_at: int, label_shift: int) -> None:
        super().__init__()
        self._images, self._seed, self._broken_at, self._shift = images, seed, broken_at, label_shift

    def __len__(self) -> int:
        return self._images

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int64]:
        if index == self._broken_at:
            raise OSError(f"image {index} cannot be decoded")
        label = index % 4
        image = np.random.default_rng([self._seed, index]).normal(0, 0.6, (1, 8, 8))
        image[0, 4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 0.7
        return image.astype("float32"), np.int64(label + self._shift)


def splits(
    images: int = 256, broken_at: int = -1, label_shift: int = 0
) -> tuple[paddle.io.Dataset, paddle.io.Dataset]:
    """Return the training and the evaluation set."""
    return Corners(images, 1, broken_at, label_shift), Corners(images // 2, 2, broken_at, label_shift)


def not_a_number(output: paddle.Tensor, label: paddle.Tensor) -> paddle.Tensor:
    """A loss with a mistake: the logarithm of zero times zero."""
    return (output.sum() * 0.0) * paddle.log(paddle.zeros([1]))
