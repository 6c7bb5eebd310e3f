"""Bounds that the converted model must hold."""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, ClassVar

from pydantic import StringConstraints

from secateur_api.base import Contract, Rule
from secateur_api.quantity import BYTES, COUNT, DURATION, FACTOR, PERCENT
from secateur_api.spec.convert import Backend, Format
from secateur_api.spec.types import Name


class Metric(str, Enum):
    """What a constraint bounds."""

    ACCURACY_DROP = "accuracyDrop"
    LATENCY_P50 = "latencyP50"
    LATENCY_P90 = "latencyP90"
    MODEL_SIZE = "modelSize"
    MACS = "macs"
    PARAMS = "params"
    PEAK_MEMORY = "peakMemory"
    SPEEDUP = "speedup"


_BOUND = f"({PERCENT}|{DURATION}|{BYTES}|{COUNT}|{FACTOR})".replace("^", "").replace("$", "")
_UNITS: dict[Metric, tuple[str, str]] = {
    Metric.ACCURACY_DROP: (PERCENT, "a percentage such as '1%'"),
    Metric.LATENCY_P50: (DURATION, "a duration such as '500ms'"),
    Metric.LATENCY_P90: (DURATION, "a duration such as '500ms'"),
    Metric.MODEL_SIZE: (BYTES, "a size such as '50Mi'"),
    Metric.PEAK_MEMORY: (BYTES, "a size such as '50Mi'"),
    Metric.MACS: (f"{COUNT}|{PERCENT}", "a count such as '300M', or a percentage such as '50%'"),
    Metric.PARAMS: (f"{COUNT}|{PERCENT}", "a count such as '2M', or a percentage such as '50%'"),
    Metric.SPEEDUP: (FACTOR, "a factor such as '1.3x'"),
}


def _unit_rule(metrics: tuple[Metric, ...]) -> Rule:
    pattern, words = _UNITS[metrics[0]]
    names = ", ".join(m.value for m in metrics)
    bound = "min" if metrics == (Metric.SPEEDUP,) else "max"
    other = "max" if bound == "min" else "min"
    listed = "[" + ", ".join(f"'{m.value}'" for m in metrics) + "]"
    escaped = pattern.replace("\\", "\\\\")
    return Rule(
        f"!(self.metric in {listed}) || "
        f"(has(self.{bound}) && !has(self.{other}) && self.{bound}.matches('{escaped}'))",
        f"{names} needs {bound}: {words}",
        lambda s: (
            s.metric not in metrics
            or (
                getattr(s, other) is None
                and getattr(s, bound) is not None
                and re.search(pattern, getattr(s, bound)) is not None
            )
        ),
    )


class Constraint(Contract):
    """One bound that the converted model must hold; it is measured, never assumed.

    It holds if it holds for every measurement that ``device``, ``format`` and ``backend`` select.
    """

    metric: Metric
    """What is bounded. ``accuracyDrop`` is relative: (baseline - pruned) / baseline."""
    max: Annotated[str, StringConstraints(pattern=f"^{_BOUND}$", max_length=32)] | None = None
    """Largest allowed value. For ``macs`` and ``params`` a percentage is of the unpruned model's."""
    min: Annotated[str, StringConstraints(pattern=f"^{_BOUND}$", max_length=32)] | None = None
    """Smallest allowed value (``speedup`` only: the baseline's latency / the pruned model's)."""
    device: Name | None = None
    """Only measurements on this device (default: on all)."""
    format: Format | None = None
    """Only models of this format (default: all)."""
    backend: Backend | None = None
    """Only Paddle Lite models for this backend (default: all)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        _unit_rule((Metric.ACCURACY_DROP,)),
        _unit_rule((Metric.LATENCY_P50, Metric.LATENCY_P90)),
        _unit_rule((Metric.MODEL_SIZE, Metric.PEAK_MEMORY)),
        _unit_rule((Metric.MACS, Metric.PARAMS)),
        _unit_rule((Metric.SPEEDUP,)),
    )
