"""Render pictures for the three models of PP-OCRv4: ``make bench-ocr``. Nothing is labelled.

``lines``: lines of text, for the recogniser. ``turned``: such lines, half of them upside down, for the
classifier of directions. ``cards``: ID cards, for the detector. Each has a folder ``train`` and a folder
``val``, of other fonts and other texts. The same fonts and the same Pillow give the same pictures.
"""

from __future__ import annotations

import argparse
import random
import string
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont

COUNTS = {"lines": (2000, 500), "turned": (3000, 500), "cards": (400, 100)}
"""Pictures of each kind in ``train`` and in ``val``."""
_BOLD_ITALIC = ("", "-Bold", "-Italic", "-BoldItalic")
_OBLIQUE = ("", "-Bold", "-Oblique", "-BoldOblique")
FONTS = {
    "train": {
        "fonts-dejavu": [
            *(f"DejaVu{family}{style}.ttf" for family in ("Sans", "SansMono") for style in _OBLIQUE),
            *(f"DejaVuSerif{style}.ttf" for style in _BOLD_ITALIC),
        ],
        "fonts-lato": ["Lato-Regular.ttf", "Lato-Bold.ttf", "Lato-Italic.ttf", "Lato-Light.ttf"],
        "fonts-crosextra-caladea": [f"Caladea{style or '-Regular'}.ttf" for style in _BOLD_ITALIC],
    },
    "val": {
        "fonts-liberation": [
            f"Liberation{family}{style or '-Regular'}.ttf"
            for family in ("Sans", "Serif", "Mono")
            for style in _BOLD_ITALIC
        ],
    },
}
"""Which fonts draw what, by the Debian package that brings them."""
CODE = string.ascii_uppercase + string.digits
WORD = string.ascii_letters + string.digits
SIDE = 640
"""Pixels of a card; the detector sees half of them."""


# ---- texts ----


def date(dice: random.Random) -> str:
    """Return a day between 1930 and 2035."""
    return f"{dice.randint(1, 28):02}.{dice.randint(1, 12):02}.{dice.randint(1930, 2035)}"


def code(dice: random.Random) -> str:
    """Return capitals and digits, as a document's number has them."""
    return "".join(dice.choices(CODE, k=dice.randint(6, 12)))


def name(dice: random.Random) -> str:
    """Return a name that can be pronounced."""
    syllables = (dice.choice("bdfghklmnprstvz") + dice.choice("aeiou") for _ in range(dice.randint(2, 4)))
    return ("".join(syllables) + dice.choice(("", "n", "r", "s"))).capitalize()


def words(dice: random.Random) -> str:
    """Return one to three words of any letters and digits."""
    return " ".join("".join(dice.choices(WORD, k=dice.randint(2, 7))) for _ in range(dice.randint(1, 3)))


@dataclass(frozen=True)
class Hand:
    """Who draws for ``train`` or for ``val``, in fonts and with texts that the other one does not use."""

    part: str
    fonts: list[str]
    dice: random.Random

    def text(self, kind: Callable[[random.Random], str]) -> str:
        """Return a text of a kind; its checksum says whose it is."""
        while True:
            text = kind(self.dice)
            if (zlib.crc32(text.encode()) % 4 == 0) == (self.part == "val"):
                return text


TEXTS: tuple[Callable[[random.Random], str], ...] = (date, code, name, words)
FIELDS = {
    "Surname": name,
    "Given names": name,
    "Place of birth": name,
    "Date of birth": date,
    "Date of expiry": date,
    "Document No.": code,
    "Personal No.": code,
}


# ---- pictures ----


def line(hand: Hand) -> Image.Image:
    """Return one line of text, 48 pixels high: slanted, narrow or wide, thin or thick, sharp or not."""
    dice = hand.dice
    font = ImageFont.truetype(dice.choice(hand.fonts), dice.randint(26, 36))
    text, stroke = hand.text(dice.choice(TEXTS)), dice.choice((0, 0, 0, 1))
    left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
    image = _ground(dice, round(right - left) + dice.randint(12, 28), 48)
    place = (dice.randint(4, 10) - left, (48 - bottom + top) // 2 - top + dice.randint(-3, 3))
    ink = tuple(dice.randint(0, 90) for _ in range(3))
    ImageDraw.Draw(image).text(place, text, font=font, fill=ink, stroke_width=stroke)
    slant = dice.uniform(-0.2, 0.2)
    image = image.transform(
        image.size,
        Image.Transform.AFFINE,
        (1, slant, -24 * slant, 0, 1, 0),
        Image.Resampling.BILINEAR,
        fillcolor=image.getpixel((0, 24)),
    )
    image = image.resize((round(image.width * dice.uniform(0.75, 1.25)), 48))
    return image.filter(ImageFilter.GaussianBlur(dice.uniform(0, 0.8)))


def turned(hand: Hand) -> Image.Image:
    """Return a line, upside down half of the time."""
    image = line(hand)
    return image.rotate(180) if hand.dice.random() < 0.5 else image


def card(hand: Hand) -> Image.Image:
    """Return an ID card of no one, :data:`SIDE` pixels wide and high."""
    dice = hand.dice
    image = _ground(dice, SIDE, SIDE)
    draw, font = ImageDraw.Draw(image), dice.choice(hand.fonts)
    draw.rectangle((24, 180, 184, 400), fill=tuple(dice.randint(60, 180) for _ in range(3)))
    title = (dice.randint(20, 120), dice.randint(32, 72))
    draw.text(title, "IDENTITY CARD", font=ImageFont.truetype(font, 52), fill="navy")
    top = dice.randint(150, 180)
    for label in dice.sample(list(FIELDS), dice.randint(4, 6)):
        draw.text((216, top), label, font=ImageFont.truetype(font, 22), fill=(70, 70, 70))
        size = dice.randint(30, 36)
        draw.text(
            (216, top + 27), hand.text(FIELDS[label]), font=ImageFont.truetype(font, size), fill="black"
        )
        top += dice.randint(74, 82)
    tilted = image.rotate(dice.uniform(-2, 2), Image.Resampling.BILINEAR, fillcolor=(235, 235, 235))
    return tilted.filter(ImageFilter.GaussianBlur(dice.uniform(0, 1)))


def seen(image: Image.Image) -> Image.Image:
    """Return a card as the detector takes it."""
    return image.resize((SIDE // 2, SIDE // 2), Image.Resampling.BILINEAR)


def _ground(dice: random.Random, width: int, height: int) -> Image.Image:
    """Return a pale background, a little darker towards the bottom."""
    colour = [dice.randint(190, 255) for _ in range(3)]
    darker = [max(0, value - dice.randint(0, 40)) for value in colour]
    pale, dark = (Image.new("RGB", (width, height), tuple(values)) for values in (colour, darker))
    return Image.composite(dark, pale, Image.linear_gradient("L").resize((width, height)))


KINDS: dict[str, Callable[[Hand], Image.Image]] = {
    "lines": line,
    "turned": turned,
    "cards": lambda hand: seen(card(hand)),
}


def fonts_of(folder: Path) -> dict[str, list[str]]:
    """Return the font files of ``train`` and of ``val``; all must lie below a folder."""
    there = {path.name: str(path) for path in sorted(folder.rglob("*.ttf"))}
    packages = {package: names for part in FONTS.values() for package, names in part.items()}
    missing = {package: [font for font in names if font not in there] for package, names in packages.items()}
    lacking = [package for package, names in missing.items() if names]
    if lacking:
        sys.exit(
            f"no {missing[lacking[0]][0]} below {folder}: apt install {' '.join(lacking)}, "
            "or name the folder of the fonts with --fonts"
        )
    return {part: [there[font] for names in FONTS[part].values() for font in names] for part in FONTS}


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fonts", type=Path, default=Path("/usr/share/fonts"), help="folder of the fonts")
    options = parser.parse_args()
    fonts = fonts_of(options.fonts)
    for kind, draw in KINDS.items():
        for part, count in zip(FONTS, COUNTS[kind], strict=True):
            folder = options.folder / kind / part
            folder.mkdir(parents=True, exist_ok=True)
            hand = Hand(part, fonts[part], random.Random(f"{part} {kind}"))
            for number in range(count):
                draw(hand).save(folder / f"{number:04}.png")


if __name__ == "__main__":
    main()
