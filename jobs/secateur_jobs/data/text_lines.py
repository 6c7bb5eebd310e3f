"""Lines of text: rendered numbers and names, or the user's own in PaddleOCR's label format.

Items are (image float32 [channels, height, width] in -1..1, classes int64 [longest line], padded with -1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from secateur_jobs.data.charset import Encoder, characters
from secateur_jobs.data.rendering import Face, draw, faces
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.batching import ArrayDataset

PADDING = -1


def splits(
    charset: str = "digits",
    train_lines: int = 4000,
    eval_lines: int = 1000,
    length: Sequence[int] = (8, 8),
    height: int = 32,
    width: int = 160,
    channels: int = 1,
    fonts: Sequence[str] = (),
    hardness: float = 1.0,
    seed: int = 0,
) -> tuple[ArrayDataset, ArrayDataset]:
    """Return (train, eval) of rendered lines of random characters, ``length`` (shortest, longest) of them.

    Each line has its own font (of Pillow's two and ``fonts``, paths of TrueType files), size, boldness,
    slant, contrast, blur and noise; ``hardness`` scales the last five. ``charset`` is a name or a dictionary
    file of :func:`~secateur_jobs.data.charset.characters`; of ``names`` each line is one capitalised word or
    two. ``seed`` decides everything.

    Raises ValueError for lengths or sizes that make no line; FileNotFoundError; OSError for a damaged font.
    """
    shortest, longest = _lengths(length)
    if min(train_lines, eval_lines, height, width, channels) < 1 or hardness < 0:
        raise ValueError("train_lines, eval_lines, height, width and channels must be 1 or more, hardness 0")
    known = characters(charset)
    generator = np.random.default_rng(seed)
    drawn_with = faces(fonts)
    encode = Encoder(known)

    def one_side(count: int) -> ArrayDataset:
        images = np.empty((count, 1, height, width), np.float32)
        labels = np.full((count, longest), PADDING, np.int64)
        for index in range(count):
            size = int(generator.integers(shortest, longest + 1))
            text = _name(size, generator) if charset == "names" else _random(known, size, generator)
            face: Face = drawn_with[generator.integers(len(drawn_with))]
            images[index, 0] = draw(text, face, height, width, hardness, generator)
            labels[index, : len(text)] = encode(text)
        return ArrayDataset((np.repeat(images, channels, axis=1), labels))

    return one_side(train_lines), one_side(eval_lines)


def _lengths(length: Sequence[int]) -> tuple[int, int]:
    if len(length) != 2 or not 1 <= length[0] <= length[1]:
        raise ValueError(
            f"length must be [shortest, longest] with 1 <= shortest <= longest, not {list(length)}"
        )
    return int(length[0]), int(length[1])


def _random(known: Sequence[str], size: int, generator: np.random.Generator) -> str:
    return "".join(known[i] for i in generator.integers(len(known), size=size))


def _name(size: int, generator: np.random.Generator) -> str:
    """Return letters in the shape of a name: two capitalised words where there is room."""
    letters = [chr(ord("a") + i) for i in generator.integers(26, size=size)]
    if size >= 5:
        letters[int(generator.integers(2, size - 2))] = " "
    return "".join(letters).title()


def labelled(
    folder: str,
    train: str = "rec_gt_train.txt",
    eval: str = "rec_gt_test.txt",  # the name in the other factories' results
    charset: str = "alphanumeric",
    space: bool = False,
    height: int = 32,
    width: int = 320,
    channels: int = 3,
) -> tuple[LabelledLines, LabelledLines]:
    """Return (train, eval) of the user's own lines, listed in two files of ``path<TAB>text`` lines.

    That is PaddleOCR's label format; paths are relative to ``folder``. Images are scaled to ``height``, keep
    their proportions up to ``width``, are in BGR order and padded on the right with 0, as PaddleOCR does.

    Raises ValueError naming file and line for a line without a tab or text, or with an unknown character;
    FileNotFoundError if a list or an image is not there.
    """
    encode = Encoder(characters(charset, space))
    lists = [_read(Path(folder), name, encode) for name in (train, eval)]
    longest = max(len(classes) for listed in lists for _, classes in listed)
    first, second = (LabelledLines(listed, longest, height, width, channels) for listed in lists)
    return first, second


def _read(folder: Path, name: str, encode: Encoder) -> list[tuple[Path, list[int]]]:
    listed = []
    text = (folder / name).read_text(encoding="utf-8").replace("\r\n", "\n")
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        where = f"{folder / name}, line {number}"
        path, tab, written = line.partition("\t")
        if not tab:
            raise ValueError(f"{where}: {line[:60]!r} has no tab; it must be path<TAB>text")
        try:
            classes = encode(written)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        if not (folder / path).is_file():
            raise FileNotFoundError(f"{where}: {folder / path}")
        listed.append((folder / path, classes))
    if not listed:
        raise ValueError(f"{folder / name} lists no line")
    return listed


class LabelledLines(paddle.io.Dataset):
    """Text lines in image files; each one is read when it is asked for."""

    def __init__(
        self, listed: Sequence[tuple[Path, list[int]]], longest: int, height: int, width: int, channels: int
    ) -> None:
        super().__init__()
        self._listed = listed
        self._longest, self._height, self._width, self._channels = longest, height, width, channels

    def __len__(self) -> int:
        return len(self._listed)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        path, classes = self._listed[index]
        label = np.full(self._longest, PADDING, np.int64)
        label[: len(classes)] = classes
        return self._image(path), label

    def _image(self, path: Path) -> np.ndarray:
        try:
            with Image.open(path) as file:
                image = file.convert("L" if self._channels == 1 else "RGB")
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"{path} is no image that can be read: {error}") from None
        scaled = min(self._width, math.ceil(self._height * image.width / image.height))
        image = image.resize((scaled, self._height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, np.float32).reshape(self._height, scaled, -1)[..., ::-1]  # RGB to BGR
        out = np.zeros((self._channels, self._height, self._width), np.float32)
        out[:, :, :scaled] = pixels.transpose(2, 0, 1) / 127.5 - 1
        return out
