"""Percentiles and Markdown."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

MIB = 2**20


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; NaN of nothing."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def spread(values: Sequence[float]) -> list[str]:
    """Return p50, p90, p99 and the largest, in seconds as text."""
    return [f"{percentile(values, share):.2f}" for share in (0.5, 0.9, 0.99, 1.0)]


def table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table."""
    lines: list[Iterable[object]] = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def goal(name: str, value: float, limit: float, unit: str) -> list[str]:
    """Return a row: what was measured, what was asked for, and whether it holds."""
    holds = "yes" if value <= limit else "no"
    return [name, f"{value:.3g} {unit}".strip(), f"<= {limit:g} {unit}".strip(), holds]


def machine() -> str:
    """Name what the figures depend on: processor, cores, memory, and how busy it is already."""
    with open("/proc/cpuinfo") as file:
        model = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB; load at the start {os.getloadavg()[0]:.1f}"
