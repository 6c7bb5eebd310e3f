"""One layer's output width before and after, as a bar."""

from __future__ import annotations

from markupsafe import Markup

from secateur_api.results import Width
from secateur_jobs.report.charts import svg


def bar(width: Width, widest: int) -> Markup:
    """Draw the unpruned width as an outline and the kept one filled, on the scale of the widest layer."""
    picture = svg.drawing(400, 8, f"{width.layer}: {width.after} of {width.before} channels kept")
    picture.set("preserveAspectRatio", "none")
    scale = svg.Scale(0, max(widest, 1), 0, 400)
    svg.box(picture, 0, 0, scale(width.before), 8, "fill-faint")
    svg.box(picture, 0, 0, scale(width.after), 8, "fill-accent")
    return svg.markup(picture)
