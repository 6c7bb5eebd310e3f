"""A group's sensitivity (relative drop over the share of channels cut), and widths before and after."""

from __future__ import annotations

from markupsafe import Markup

from secateur_api.results import Point, Width
from secateur_jobs.report import numerals
from secateur_jobs.report.charts import svg

_WIDTH, _HEIGHT = 180, 108
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 6, 6, 20
_LEAST_CAP, _MOST_CAP = 0.02, 0.3


def shared_cap(points: dict[str, list[Point]]) -> float:
    """Return the drop at which all charts of one page end: the largest one, but at most 30 %.

    What lies above matters no longer; a longer axis would flatten the part where ratios are chosen.
    """
    largest = max((p.loss for curve in points.values() for p in curve), default=0.0)
    return min(max(largest * 1.05, _LEAST_CAP), _MOST_CAP)


def curve(group: str, points: list[Point], cap: float, chosen: float | None) -> Markup:
    """Draw one group's curve from ratio 0 to 1, with bounds where there are any.

    A dashed vertical line marks the ratio that was chosen.
    """
    worst = max(points, key=lambda p: p.loss)
    words = f"{group}: drop at most {numerals.share(worst.loss)} at ratio {worst.ratio:g}"
    picture = svg.drawing(_WIDTH, _HEIGHT, words + (f", chosen {chosen:.2f}" if chosen else ""))
    x = svg.Scale(0, 1, _LEFT, _WIDTH - _RIGHT)
    y = svg.Scale(0, cap, _HEIGHT - _BOTTOM, _TOP)
    for drop in (0.0, cap):
        svg.line(picture, x(0), y(drop), x(1), y(drop), "axis" if drop == 0 else "grid")
        svg.text(picture, _LEFT - 4, y(drop) + 4, numerals.share(drop, 0), "tick", "end")
    for ratio, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        svg.text(picture, x(ratio), _HEIGHT - 5, f"{ratio:g}", "tick", anchor)
    if chosen:
        svg.line(picture, x(chosen), y(0), x(chosen), _TOP, "mark")
    plot = svg.window(picture, _LEFT - 3, _TOP - 3, _WIDTH - _LEFT - _RIGHT + 6, _HEIGHT - _TOP - _BOTTOM + 6)
    shown = [(0.0, 0.0), *((p.ratio, p.loss) for p in points)]
    # far above the cap the line only has to leave the window; below 0 the model got better: drawn at 0
    places = [(x(ratio), y(min(max(loss, 0.0), cap * 20))) for ratio, loss in shown]
    svg.path(plot, places, "curve")
    for point in points:
        if point.low is not None and point.high is not None:
            low, high = (y(min(max(bound, 0.0), cap * 20)) for bound in (point.low, point.high))
            svg.line(plot, x(point.ratio), low, x(point.ratio), high, "bounds")
    for place in places[1:]:
        svg.dot(plot, *place, 2, "fill-accent")
    return svg.markup(picture)


def bar(width: Width, widest: int) -> Markup:
    """Draw the unpruned width as an outline and the kept one filled, on the scale of the widest layer."""
    picture = svg.drawing(400, 8, f"{width.layer}: {width.after} of {width.before} channels kept")
    picture.set("preserveAspectRatio", "none")
    scale = svg.Scale(0, max(widest, 1), 0, 400)
    svg.box(picture, 0, 0, scale(width.before), 8, "fill-faint")
    svg.box(picture, 0, 0, scale(width.after), 8, "fill-accent")
    return svg.markup(picture)
