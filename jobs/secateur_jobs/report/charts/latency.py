"""The distribution of a benchmark's timed runs: share of the runs that took at most so long."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from secateur_api.quantity import show_seconds
from secateur_jobs.report.charts import svg
from secateur_jobs.report.evidence import Measured

_WIDTH, _HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 14, 40
_STEPS = 200
_TAIL = 0.99
_LONGEST = 2.0
"""The chart ends at this multiple of the slower model's p90: a few stalls would flatten what is compared."""


def beyond(measured: Measured) -> tuple[int, float]:
    """Return how many timed runs lie right of the chart, and where it ends (seconds)."""
    both = (measured.samples.baseline_seconds, measured.samples.pruned_seconds)
    tail, p90 = (max(float(np.quantile(seconds, level)) for seconds in both) for level in (_TAIL, 0.9))
    end = min(tail, _LONGEST * p90)
    return sum(s > end for seconds in both for s in seconds), end


def distribution(measured: Measured) -> Markup:
    """Draw the empirical distribution functions of the baseline (dashed) and the pruned model (solid)."""
    run, samples = measured.outcome, measured.samples
    _, end = beyond(measured)
    start = min(*samples.baseline_seconds, *samples.pruned_seconds)
    pad = (end - start or end) * 0.04
    x = svg.Scale(start - pad, end + pad, _LEFT, _WIDTH - _RIGHT)
    y = svg.Scale(0, 1, _HEIGHT - _BOTTOM, _TOP)
    words = (
        f"Latency of {run.runs} runs each: p50 {show_seconds(run.baseline.p50_seconds)} before, "
        f"{show_seconds(run.pruned.p50_seconds)} after; p90 {show_seconds(run.baseline.p90_seconds)} before, "
        f"{show_seconds(run.pruned.p90_seconds)} after"
    )
    picture = svg.drawing(_WIDTH, _HEIGHT, words)
    for level, name in ((0.0, "0%"), (0.5, "p50"), (0.9, "p90"), (1.0, "")):
        svg.line(picture, _LEFT, y(level), _WIDTH - _RIGHT, y(level), "axis" if level == 0 else "grid")
        svg.text(picture, _LEFT - 6, y(level) + 4, name, "tick", "end")
    unit, times = ("ms", 1e3) if end >= 1e-3 else ("us", 1e6)
    for value in svg.ticks(x.low * times, x.high * times, 6):
        svg.text(picture, x(value / times), _HEIGHT - 22, f"{value:.6g}", "tick", "middle")
    svg.text(picture, (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 5, f"latency, {unit}", "tick", "middle")
    plot = svg.window(picture, _LEFT, _TOP - 4, _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM + 8)
    for seconds, style, fill in (
        (samples.baseline_seconds, "ecdf-before", "fill-base"),
        (samples.pruned_seconds, "ecdf-after", "fill-accent"),
    ):
        levels = np.linspace(0, 1, min(len(seconds), _STEPS) + 1)
        quantiles = np.quantile(seconds, levels)
        svg.path(plot, [(x(float(q)), y(float(p))) for q, p in zip(quantiles, levels, strict=True)], style)
        for level in (0.5, 0.9):
            svg.dot(plot, x(float(np.quantile(seconds, level))), y(level), 4, fill)
    return svg.markup(picture)
