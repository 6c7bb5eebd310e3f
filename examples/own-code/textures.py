"""A user's own network, data, metric and criterion: which way do the stripes run?"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn


class TextureNet(nn.Layer):
    """Two plain convolutions with max pooling and a linear head; input [N, 1, 24, 24]."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2D(1, 16, 5, padding=2), nn.BatchNorm2D(16), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2D(16, 32, 3, padding=1), nn.BatchNorm2D(32), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2D(32, 32, 3, padding=1), nn.BatchNorm2D(32), nn.ReLU())
        self.pool = nn.MaxPool2D(2)
        self.mean = nn.AdaptiveAvgPool2D(1)
        self.head = nn.Linear(32, classes)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        features = self.third(self.pool(self.second(self.pool(self.first(image)))))
        return self.head(paddle.flatten(self.mean(features), 1))


class Stripes(paddle.io.Dataset):
    """Noisy stripes in four directions, made from the index: item i is always the same."""

    def __init__(self, images: int, seed: int) -> None:
        super().__init__()
        self._images, self._seed = images, seed

    def __len__(self) -> int:
        return self._images

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int64]:
        if index >= self._images:
            raise IndexError(index)
        label = index % 4
        random = np.random.default_rng([self._seed, index])
        angle = label * np.pi / 4 + random.normal(0, 0.12)
        y, x = np.mgrid[0:24, 0:24]
        wave = np.sin(
            (np.cos(angle) * x + np.sin(angle) * y) * random.uniform(0.6, 1.2) + random.uniform(0, 6)
        )
        return (wave + random.normal(0, 1.5, wave.shape))[None].astype("float32"), np.int64(label)


def splits(images: int) -> tuple[Stripes, Stripes]:
    """Return the training and the evaluation set."""
    return Stripes(images, seed=1), Stripes(images // 2, seed=2)


def balanced_accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Mean of the accuracies of the classes; outputs [N, classes], labels [N]."""
    right = outputs.argmax(axis=1) == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def spread(net: nn.Layer, group, calibration) -> np.ndarray:
    """A criterion: filters whose weights hardly differ go first; one score per channel of the group."""
    weight = dict(net.named_sublayers())[group.name].weight.numpy()
    return weight.reshape(group.channels, -1).std(axis=1)
