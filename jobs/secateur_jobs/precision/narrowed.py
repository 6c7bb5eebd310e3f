"""A model in fewer bits, of whatever format, and how it is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from secateur_api.results import WeightPrecision
from secateur_api.spec import Activations
from secateur_jobs.measure.accuracy import converted_tally
from secateur_jobs.measure.statistics import relative_drop
from secateur_jobs.precision.change import Change
from secateur_jobs.precision.comparison import Answers, change
from secateur_jobs.precision.ladder import Bits
from secateur_jobs.training.answers import judged_by
from secateur_jobs.training.batching import Part, spread
from secateur_jobs.training.held import Parts

Key = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Narrowed:
    """What is shipped for a target."""

    content: bytes
    weights: list[WeightPrecision]
    change: Change | None
    """None where the file is the one of convert."""
    note: str = ""
    """Why the file is the one of convert, or computes in floats."""
    activations: Activations = Activations.NONE
    """What layers compute in."""


_CHOOSING = 512
"""Items that a choice is made by; the evaluation set judges as a whole."""


@dataclass
class Bench:
    """Measures choices of bits on one machine; none twice on the same data."""

    floats: Path
    """The model with 32-bit weights."""
    write: Callable[[Bits], Path]
    answers: Answers
    parts: Parts
    scratch: Path
    say: Callable[[str], None]
    _metrics: dict[Key, float] = field(default_factory=dict)
    _changes: dict[Key, Change] = field(default_factory=dict)

    def chooses(self, bits: Bits) -> float:
        """Return the relative drop of the metric on some of the items that choose."""
        before, after = (self._metric(choice) for choice in ({}, bits))
        return relative_drop(before, after, judged_by(self.parts.choosing, self.answers.evaluation).goal)

    def judges(self, bits: Bits) -> Change:
        """Measure on the evaluation set."""
        key = tuple(sorted(bits.items()))
        if key not in self._changes:
            self.say(f"evaluate {_said(bits)}")
            path = self.write(bits)
            self._changes[key] = change(self.floats, path, self.answers, self.parts.eval, self.scratch)
        return self._changes[key]

    def _metric(self, bits: Bits) -> float:
        key = tuple(sorted(bits.items()))
        if key not in self._metrics:
            self.say(f"try {_said(bits)}")
            choosing, answers = self.parts.choosing, self.answers
            fraction = min(1.0, _CHOOSING / len(choosing))
            self._metrics[key] = converted_tally(
                self.write(bits) if bits else self.floats,
                answers.structure,
                answers.inputs,
                judged_by(choosing, answers.evaluation),
                Part(choosing, spread(len(choosing), fraction)),
                self.scratch,
                lambda share: None,
            ).value()
        return self._metrics[key]


def _said(bits: Bits) -> str:
    counts = Counter(bits.values())
    return " and ".join(f"{counts[width]} weights in {width} bits" for width in sorted(counts)) or "32 bits"
