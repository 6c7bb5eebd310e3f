"""A segmenter with two outputs: what each pixel is, and how much of the picture is covered."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn


def _block(inside: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2D(inside, out, 3, stride=stride, padding=1), nn.BatchNorm2D(out), nn.ReLU())


class Segmenter(nn.Layer):
    """Pictures [N, 1, 32, 32] to scores of three classes [N, 3, 32, 32], and the share covered [N, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down, self.middle = _block(1, 16), _block(16, 32, 2), _block(32, 32)
        self.up = nn.Conv2DTranspose(32, 16, 2, stride=2)
        self.classes, self.covered = nn.Conv2D(32, 3, 1), nn.Linear(32, 1)

    def forward(self, image: paddle.Tensor) -> dict[str, paddle.Tensor]:
        fine = self.stem(image)
        coarse = self.middle(self.down(fine))
        scores = self.classes(paddle.concat([fine, self.up(coarse)], 1))
        return {"classes": scores, "covered": self.covered(coarse.mean([2, 3]))}


class Shapes(paddle.io.Dataset):
    """A bright and a dark square in noise, made from the index; the rim of the picture has no label (255)."""

    def __init__(self, images: int, seed: int) -> None:
        super().__init__()
        self._images, self._seed = images, seed

    def __len__(self) -> int:
        return self._images

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index >= self._images:
            raise IndexError(index)
        random = np.random.default_rng([self._seed, index])
        classes = np.zeros((32, 32), np.int64)
        for kind in (1, 2):
            top, left = random.integers(2, 18, 2)
            classes[top : top + 12, left : left + 12] = kind
        image = np.array([0.0, 1.5, -1.5])[classes] + random.normal(0, 0.7, classes.shape)
        labels = np.pad(classes[1:-1, 1:-1], 1, constant_values=255)
        return image[None].astype("float32"), labels


def splits(images: int) -> tuple[Shapes, Shapes]:
    """Return the training and the evaluation set."""
    return Shapes(images, seed=1), Shapes(images // 2, seed=2)


def loss(outputs: dict[str, paddle.Tensor], labels: paddle.Tensor) -> paddle.Tensor:
    """Teach both: the classes of the pixels, and the share of them that is no background."""
    wanted = (labels % 255 > 0).astype("float32").mean([1, 2]).unsqueeze(1)
    classes = nn.functional.cross_entropy(outputs["classes"], labels, axis=1, ignore_index=255)
    return classes + 10 * nn.functional.mse_loss(outputs["covered"], wanted)
