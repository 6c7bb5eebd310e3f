"""Render pictures for the three models of PP-OCRv4: ``python pictures.py FOLDER``. Nothing is labelled.

``lines``: lines of text, for the recogniser. ``turned``: the same, half of them upside down, for the
classifier of directions. ``cards``: ID cards, for the detector. Each has a folder ``train`` and a folder
``val``, of other fonts and texts. The fonts are free ones: DejaVu for ``train``, Liberation for ``val``
(Debian: fonts-dejavu, fonts-liberation).
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONTS = {"train": "DejaVu*.ttf", "val": "Liberation*.ttf"}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz" * 2 + "0123456789" * 4
FIELDS = (
    "Surname",
    "Given names",
    "Nationality",
    "Date of birth",
    "Document No.",
    "Date of expiry",
    "Place of birth",
)


def text(dice: random.Random) -> str:
    """Return a few words, numbers or a date."""
    kind = dice.random()
    if kind < 0.25:
        return f"{dice.randint(1, 28):02}.{dice.randint(1, 12):02}.{dice.randint(1930, 2035)}"
    if kind < 0.5:
        return "".join(dice.choice("ABCDEFGHJKLMNPRSTUVWXYZ0123456789") for _ in range(dice.randint(6, 14)))
    words = (
        "".join(dice.choice(LETTERS) for _ in range(dice.randint(2, 8))) for _ in range(dice.randint(1, 3))
    )
    return " ".join(words)


def ground(dice: random.Random, width: int, height: int) -> Image.Image:
    """Return a pale, slightly uneven background."""
    colour = tuple(dice.randint(190, 255) for _ in range(3))
    other = tuple(max(0, value - dice.randint(0, 40)) for value in colour)
    mask = Image.linear_gradient("L").resize((width, height))
    return Image.composite(
        Image.new("RGB", (width, height), colour), Image.new("RGB", (width, height), other), mask
    )


def line(dice: random.Random, fonts: list[Path]) -> Image.Image:
    """Return one line of text, 48 pixels high: slanted, narrow or wide, thin or thick, as fonts are."""
    font = ImageFont.truetype(str(dice.choice(fonts)), dice.randint(26, 36))
    words, stroke = text(dice), dice.choice((0, 0, 0, 1))
    left, top, right, bottom = font.getbbox(words, stroke_width=stroke)
    image = ground(dice, round(right - left) + dice.randint(8, 24), 48)
    ink = tuple(dice.randint(0, 90) for _ in range(3))
    place = (dice.randint(2, 8) - left, (48 - bottom + top) // 2 - top + dice.randint(-3, 3))
    ImageDraw.Draw(image).text(place, words, font=font, fill=ink, stroke_width=stroke)
    slant = dice.uniform(-0.25, 0.25)
    shear = (1, slant, -24 * slant, 0, 1, 0)
    image = image.transform(
        image.size, Image.Transform.AFFINE, shear, Image.Resampling.BILINEAR, fillcolor=(220,) * 3
    )
    image = image.resize((max(16, round(image.width * dice.uniform(0.7, 1.25))), 48))
    return image.filter(ImageFilter.GaussianBlur(dice.uniform(0, 0.8)))


def card(dice: random.Random, fonts: list[Path]) -> Image.Image:
    """Return an ID card, 320 pixels wide and high."""
    image = ground(dice, 320, 320)
    draw = ImageDraw.Draw(image)
    draw.rectangle((12, 90, 92, 200), fill=tuple(dice.randint(60, 180) for _ in range(3)))
    name = str(dice.choice(fonts))
    draw.text(
        (dice.randint(10, 60), dice.randint(16, 40)),
        "IDENTITY CARD",
        font=ImageFont.truetype(name, 26),
        fill="navy",
    )
    top = dice.randint(76, 96)
    for field in dice.sample(FIELDS, dice.randint(4, 6)):
        draw.text((108, top), field, font=ImageFont.truetype(name, 11), fill=(70, 70, 70))
        draw.text(
            (108, top + 13),
            text(dice)[:18],
            font=ImageFont.truetype(name, dice.randint(15, 18)),
            fill="black",
        )
        top += dice.randint(36, 42)
    return image.rotate(dice.uniform(-4, 4), fillcolor=(235, 235, 235)).filter(
        ImageFilter.GaussianBlur(dice.uniform(0, 0.6))
    )


def pictures(kind: str, fonts: list[Path], dice: random.Random) -> Iterator[Image.Image]:
    """Yield pictures of a kind without end."""
    while True:
        image = card(dice, fonts) if kind == "cards" else line(dice, fonts)
        yield image.rotate(180) if kind == "turned" and dice.random() < 0.5 else image


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--fonts", type=Path, default=Path("/usr/share/fonts"), help="folder with both families"
    )
    parser.add_argument("--train", type=int, default=1200, help="pictures of each kind to train on")
    parser.add_argument("--val", type=int, default=300, help="pictures of each kind to measure on")
    options = parser.parse_args()
    for part, pattern in FONTS.items():
        fonts = sorted(options.fonts.rglob(pattern))
        if not fonts:
            sys.exit(f"no font {pattern} in {options.fonts}; name another folder with --fonts")
        for kind in ("lines", "turned", "cards"):
            folder = options.folder / kind / part
            folder.mkdir(parents=True, exist_ok=True)
            made = pictures(kind, fonts, random.Random(f"{part} {kind}"))
            for number in range(getattr(options, part)):
                next(made).save(folder / f"{number:04}.png")


if __name__ == "__main__":
    main()
