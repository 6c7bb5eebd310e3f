"""Draw one line of text as a camera may see it: font, size, slant, contrast, blur and noise vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_SIZES = (18, 20, 22, 24, 26)


@dataclass(frozen=True)
class Face:
    """A typeface: a path of a TrueType file, or one of the two that Pillow brings along."""

    source: str

    def at(self, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        """Return the font of a size in pixels; the bitmap font has one size only."""
        return _font(self.source, size)


_OUTLINE, _BITMAP = "pillow:outline", "pillow:bitmap"


@lru_cache(maxsize=256)
def _font(source: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if source == _BITMAP:
        return ImageFont.load_default_imagefont()
    if source == _OUTLINE:
        return ImageFont.load_default(size)
    return ImageFont.truetype(source, size)


def faces(paths: Sequence[str]) -> list[Face]:
    """Return Pillow's two faces and those of the files; raises FileNotFoundError, or OSError if damaged."""
    missing = [path for path in paths if not Path(path).is_file()]
    if missing:
        raise FileNotFoundError(f"fonts: {', '.join(missing)}")
    found = [Face(_OUTLINE), Face(_BITMAP), *(Face(path) for path in paths)]
    for face in found:
        face.at(_SIZES[0])
    return found


def draw(
    text: str, face: Face, height: int, width: int, hardness: float, generator: np.random.Generator
) -> np.ndarray:
    """Return float32 [height, width] in about -1..1: dark text on light ground, from near the left edge.

    The text fills 60 to 90 % of the height and is squeezed where it would be wider than the image.
    """
    mask = _mask(text, face, int(generator.choice(_SIZES)), bool(generator.integers(2)))
    fill = generator.uniform(0.6, 0.9)
    tall = max(1, round(height * fill))
    wide = max(1, min(width - 2, round(mask.width * tall / mask.height * generator.uniform(0.85, 1.15))))
    mask = mask.resize((wide, tall), Image.Resampling.BILINEAR)
    top = int(generator.integers(0, height - tall + 1))
    left = int(generator.integers(1, max(2, min(height // 2, width - wide))))
    page = Image.new("L", (width, height))
    page.paste(mask, (left, top))
    slant = generator.uniform(-0.2, 0.2) * hardness
    page = page.transform(
        page.size, Image.Transform.AFFINE, (1, slant, -slant * height / 2, 0, 1, 0), Image.Resampling.BILINEAR
    )
    page = page.filter(ImageFilter.GaussianBlur(generator.uniform(0, 0.8) * hardness))
    ink = np.asarray(page, np.float32) / 255
    contrast = 1 - generator.uniform(0, 0.6) * min(hardness, 1.5)
    noise = generator.uniform(0, 0.15) * hardness
    light = generator.uniform(-0.2, 0.2) * hardness
    out = (0.5 - ink) * 2 * contrast + light + generator.normal(0, 1, ink.shape) * noise
    return out.astype(np.float32)


def _mask(text: str, face: Face, size: int, bold: bool) -> Image.Image:
    """Return the text alone, white on black, cropped to its ink along the width."""
    font = face.at(size)
    # one ruler for all lines, so that digits without descenders are not blown up
    box = font.getbbox(text + "Ag")
    left, _, right, _ = font.getbbox(text)
    page = Image.new("L", (max(1, round(right - left)) + 2, max(1, round(box[3] - box[1])) + 2))
    stroke = int(bold and isinstance(font, ImageFont.FreeTypeFont))
    ImageDraw.Draw(page).text((1 - left, 1 - box[1]), text, fill=255, font=font, stroke_width=stroke)
    return page
