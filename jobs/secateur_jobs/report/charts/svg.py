"""The few SVG elements that the charts are drawn with; escaping is ElementTree's."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from markupsafe import Markup


@dataclass(frozen=True)
class Scale:
    """Maps values linearly to pixels; values outside the domain land outside the range."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about ``count`` round numbers (1, 2 or 5 times a power of ten apart) inside the interval."""
    if high <= low:
        return [low]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def drawing(width: float, height: float, label: str) -> Element:
    """Start a picture that scales with its container and is read out as ``label``."""
    picture = Element("svg", {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "aria-label": label})
    SubElement(picture, "title").text = label
    return picture


def line(parent: Element, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
    """Draw a line."""
    ends = {"x1": _px(x1), "y1": _px(y1), "x2": _px(x2), "y2": _px(y2)}
    SubElement(parent, "line", {**ends, "class": style})


def path(parent: Element, points: Iterable[tuple[float, float]], style: str) -> None:
    """Draw an open line through points."""
    text = " ".join(f"{_px(x)},{_px(y)}" for x, y in points)
    SubElement(parent, "polyline", {"points": text, "class": style})


def box(parent: Element, x: float, y: float, width: float, height: float, style: str) -> None:
    """Draw a rectangle."""
    size = {"x": _px(x), "y": _px(y), "width": _px(max(width, 0)), "height": _px(max(height, 0))}
    SubElement(parent, "rect", {**size, "class": style})


def dot(parent: Element, x: float, y: float, radius: float, style: str) -> None:
    """Draw a circle."""
    SubElement(parent, "circle", {"cx": _px(x), "cy": _px(y), "r": f"{radius:g}", "class": style})


def diamond(parent: Element, x: float, y: float, radius: float, style: str) -> None:
    """Draw a square that stands on its corner."""
    corners = [(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)]
    text = " ".join(f"{_px(a)},{_px(b)}" for a, b in corners)
    SubElement(parent, "polygon", {"points": text, "class": style})


def text(parent: Element, x: float, y: float, content: str, style: str = "", anchor: str = "start") -> None:
    """Write text with its baseline at ``y``."""
    where = {"x": _px(x), "y": _px(y), "text-anchor": anchor}
    SubElement(parent, "text", {**where, **({"class": style} if style else {})}).text = content


def window(parent: Element, x: float, y: float, width: float, height: float) -> Element:
    """Return a part that clips what is drawn beyond it; its coordinates are the parent's."""
    frame = {"x": _px(x), "y": _px(y), "width": _px(width), "height": _px(height)}
    view = f"{_px(x)} {_px(y)} {_px(width)} {_px(height)}"
    return SubElement(parent, "svg", {**frame, "viewBox": view, "overflow": "hidden"})


def markup(picture: Element) -> Markup:
    """Return the finished picture for the page."""
    return Markup(ElementTree.tostring(picture, encoding="unicode"))


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
