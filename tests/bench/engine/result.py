"""What one arm came to; kept as JSON, so that an interrupted benchmark goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """Measurements of one arm on one baseline. Accuracies are shares, 0..1."""

    baseline: float
    raw: float
    """After the cut, before anything else."""
    final: float
    """After everything."""
    cut: float
    """Share of the multiply-accumulate operations that is gone, counted by running the net."""
    speedup: float
    """Median over adjacent pairs of runs of the two converted models."""
    repaired: float | None = None
    """After the repair without labels; None where the arm has none."""
    sensitivity_seconds: float | None = None
    """None where another arm's points were taken."""
    evaluations: int | None = None
    """How many points that took."""
    details: dict[str, float | str] = field(default_factory=dict)

    @property
    def kept(self) -> float:
        """The accuracy kept: a share of the baseline's."""
        return self.final / self.baseline


def kept_or_made(path: Path, make: Callable[[], Result]) -> Result:
    """Return the result that ``path`` keeps, or make it and keep it."""
    if path.exists():
        return Result(**json.loads(path.read_text()))
    result = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(result), indent=1))
    partial.rename(path)
    return result
