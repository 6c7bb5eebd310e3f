"""Quantities as a user writes them ("50%", "500ms", "50Mi", "1.3x", "120M") and their plain numbers."""

from __future__ import annotations

import re

PERCENT = r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%$"
DURATION = r"^([0-9]+(\.[0-9]+)?(h|ms|us|m|s))+$"
BYTES = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|k|M|G)?$"
COUNT = r"^[0-9]+(\.[0-9]+)?(k|M|G|T)?$"
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
"""Kubernetes quantity of CPU or memory."""
FACTOR = r"^[0-9]+(\.[0-9]+)?x$"

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_COUNT = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def _match(pattern: str, text: str, example: str) -> re.Match[str]:
    found = re.match(pattern, text)
    if found is None:
        raise ValueError(f"{text!r} is not a quantity of this kind; write it like {example!r}")
    return found


def parse_percent(text: str) -> float:
    """Return the fraction that a percentage names: ``"50%"`` is ``0.5``."""
    _match(PERCENT, text, "50%")
    return float(text[:-1]) / 100


def parse_duration(text: str) -> float:
    """Return seconds: ``"500ms"`` is ``0.5``, ``"1h30m"`` is ``5400.0``."""
    _match(DURATION, text, "500ms")
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(h|ms|us|m|s)", text)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_bytes(text: str) -> int:
    """Return bytes: ``"50Mi"`` is ``52428800``, ``"50M"`` is ``50000000``."""
    _match(BYTES, text, "50Mi")
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    return int(float(number) * _BYTES[unit])


def parse_count(text: str) -> float:
    """Return a count (of MACs or parameters): ``"120M"`` is ``120e6``."""
    _match(COUNT, text, "120M")
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    return float(number) * _COUNT[unit]


def parse_factor(text: str) -> float:
    """Return a factor: ``"1.3x"`` is ``1.3``."""
    _match(FACTOR, text, "1.3x")
    return float(text[:-1])


def show_bytes(count: float) -> str:
    """Write bytes for a person: ``52428800`` is ``"50.0 MiB"``."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"


def show_count(count: float) -> str:
    """Write a count of MACs or parameters for a person: ``1234567`` is ``"1.23 M"``."""
    for unit in ("", " k", " M", " G"):
        if count < 1000:
            return f"{count:.0f}" if unit == "" else f"{count:.2f}{unit}"
        count /= 1000
    return f"{count:.2f} T"


def show_seconds(seconds: float) -> str:
    """Write a latency or a duration for a person: ``0.0123`` is ``"12.30 ms"``, ``75`` is ``"1m15s"``."""
    if seconds < 1e-5:
        return f"{seconds * 1e6:.3g} us"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.2f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{rest:02d}s"


def show_moment(stamp: str) -> str:
    """Write a point in time (RFC 3339, UTC) for a person: ``2026-01-31 12:00 UTC``."""
    return f"{stamp[:10]} {stamp[11:16]} UTC"
