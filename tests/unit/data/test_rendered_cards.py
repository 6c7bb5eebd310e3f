"""The rendered pictures for PP-OCRv4: what is measured on is in nothing that is trained on."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.bench.pp_ocrv4 import pictures


def test_no_text_is_both_trained_on_and_measured_on() -> None:
    train, val = (pictures.Hand(part, [], random.Random(part)) for part in ("train", "val"))
    for kind in pictures.TEXTS:
        trained = {train.text(kind) for _ in range(2000)}
        assert len(trained) > 100
        assert trained.isdisjoint(val.text(kind) for _ in range(500))


def test_no_font_is_both_trained_on_and_measured_on() -> None:
    names = {part: {n for some in pictures.FONTS[part].values() for n in some} for part in ("train", "val")}
    assert names["train"]
    assert names["val"]
    assert names["train"].isdisjoint(names["val"])


def test_a_missing_font_is_named_with_every_package_to_install(tmp_path: Path) -> None:
    for name in pictures.FONTS["train"]["fonts-lato"]:
        (tmp_path / name).touch()
    with pytest.raises(SystemExit) as ended:
        pictures.fonts_of(tmp_path)
    assert str(ended.value) == (
        f"no DejaVuSans.ttf below {tmp_path}: apt install fonts-dejavu fonts-crosextra-caladea "
        "fonts-liberation, or name the folder of the fonts with --fonts"
    )


def test_pictures_are_the_same_each_time() -> None:
    font = next(Path("/usr/share/fonts").rglob("DejaVuSans.ttf"), None)
    if font is None:
        pytest.skip("needs DejaVuSans.ttf (Debian: fonts-dejavu)")
    for draw in pictures.KINDS.values():
        once, again, other = (
            draw(pictures.Hand("train", [str(font)], random.Random(seed))).tobytes() for seed in (1, 1, 2)
        )
        assert once == again
        assert once != other
