"""The user's own images, one folder for each class.

Items are (image float32 [channels, size, size], class int64); classes are the folders' names in sorted order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from secateur_jobs.explain import near
from secateur_jobs.paddle_env import paddle

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
Listed = list[tuple[Path, int]]


def splits(
    folder: str,
    size: int = 224,
    channels: int = 3,
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    std: Sequence[float] = (0.229, 0.224, 0.225),
    augment: bool = True,
    eval_share: float = 0.2,
    seed: int = 0,
) -> tuple[ImageFolder, ImageFolder]:
    """Return (train, eval) of ``folder/train/CLASS/*.jpg`` and ``folder/val/CLASS/*.jpg``.

    A folder without ``train`` and ``val`` holds the classes itself; then ``eval_share`` of each class is for
    evaluation, drawn by ``seed``. Evaluation takes the middle of the image, its shorter side scaled to
    8/7 of ``size``; training with ``augment`` a random part of 35 to 100 % of its area, mirrored half of the
    time. Values are (x / 255 - mean) / std, by default ImageNet's.

    Raises ValueError for no class or image, a class in ``val`` that ``train`` lacks, or means that do not fit
    the channels; FileNotFoundError.
    """
    if channels not in (1, 3) or size < 1 or not 0 < eval_share < 1:
        raise ValueError("channels must be 1 or 3, size 1 or more, eval_share between 0 and 1")
    scale = _per_channel("mean", mean, channels), _per_channel("std", std, channels)
    if not (scale[1] > 0).all():
        raise ValueError(f"std {list(std)} must be above 0")
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    if (root / "train").is_dir() and (root / "val").is_dir():
        classes = _classes(root / "train")
        train, test = _list(root / "train", classes), _list(root / "val", classes)
    else:
        classes = _classes(root)
        train, test = _divide(_list(root, classes), len(classes), eval_share, np.random.default_rng(seed))
    return (
        ImageFolder(train, size, channels, scale, augment),
        ImageFolder(test, size, channels, scale, False),
    )


def _per_channel(name: str, values: Sequence[float], channels: int) -> np.ndarray:
    if channels == 1 and len(values) == 3:
        values = [float(np.mean(values))]
    if len(values) != channels:
        raise ValueError(f"{name} has {len(values)} values for {channels} channels")
    return np.asarray(values, np.float32)[:, None, None]


def _classes(root: Path) -> list[str]:
    found = sorted(path.name for path in root.iterdir() if path.is_dir())
    if not found:
        raise ValueError(f"{root} has no folders; each class needs one with its images")
    return found


def _list(root: Path, classes: Sequence[str]) -> Listed:
    unknown = [name for name in _classes(root) if name not in classes]
    if unknown:
        raise ValueError(
            f"{root}: class {unknown[0]!r} is not in the training set{near(unknown[0], classes)}"
        )
    listed = []
    for number, name in enumerate(classes):
        folder = root / name
        images = sorted(p for p in folder.glob("*") if p.suffix.lower() in EXTENSIONS)
        if not images and folder.is_dir():
            raise ValueError(f"{folder} has no image ({', '.join(EXTENSIONS)})")
        listed += [(path, number) for path in images]
    return listed


def _divide(
    listed: Listed, classes: int, eval_share: float, generator: np.random.Generator
) -> tuple[Listed, Listed]:
    train: Listed = []
    test: Listed = []
    for number in range(classes):
        members = [item for item in listed if item[1] == number]
        if len(members) < 2:
            raise ValueError(f"{members[0][0].parent} has one image; a class that is split needs two")
        order = generator.permutation(len(members))
        count = min(max(1, round(len(members) * eval_share)), len(members) - 1)
        test += [members[i] for i in sorted(order[:count])]
        train += [members[i] for i in sorted(order[count:])]
    return train, test


class ImageFolder(paddle.io.Dataset):
    """Images in files; each one is read when it is asked for, and varied anew where that is wanted."""

    def __init__(
        self,
        listed: Listed,
        size: int,
        channels: int,
        scale: tuple[np.ndarray, np.ndarray],
        augment: bool,
    ) -> None:
        super().__init__()
        self._listed, self._size, self._channels = listed, size, channels
        self._mean, self._std = scale
        self._augment = augment

    def __len__(self) -> int:
        return len(self._listed)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        path, number = self._listed[index]
        try:
            with Image.open(path) as file:
                image = ImageOps.exif_transpose(file).convert("L" if self._channels == 1 else "RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"{path} is no image that can be read: {error}") from None
        image = _random_part(image, self._size) if self._augment else _middle(image, self._size)
        pixels = np.asarray(image, np.float32).reshape(self._size, self._size, -1).transpose(2, 0, 1)
        return (pixels / 255 - self._mean) / self._std, np.asarray(number, np.int64)


def _middle(image: Image.Image, size: int) -> Image.Image:
    shorter = min(image.size)
    side = shorter * 7 / 8
    left, top = ((extent - side) / 2 for extent in image.size)
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)


def _random_part(image: Image.Image, size: int) -> Image.Image:
    """Draw from numpy's global generator, which the training loop seeds in each epoch."""
    area, aspect, x, y, mirror = np.random.random(5)
    area = image.width * image.height * (0.35 + 0.65 * area)
    aspect = (4 / 3) ** (2 * aspect - 1)
    width, height = min(image.width, (area * aspect) ** 0.5), min(image.height, (area / aspect) ** 0.5)
    left, top = (image.width - width) * x, (image.height - height) * y
    part = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
    return ImageOps.mirror(part) if mirror < 0.5 else part
