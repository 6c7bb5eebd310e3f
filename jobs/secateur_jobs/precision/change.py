"""What other bits change, and how much 16 of them may."""

from __future__ import annotations

import math
from dataclasses import dataclass

NEAR = 1e-3
"""Allowed largest difference of 16-bit weights over the largest output; measured were up to 1e-4."""
ALIKE = 0.999
"""Share of the samples that 16-bit weights must answer alike."""


@dataclass(frozen=True)
class Change:
    """What was measured on a data set."""

    drop: float
    """Relative drop of the metric."""
    agreement: float
    """Mean agreement of the answers, 0..1; of several outputs that are judged a sample's worst counts."""
    max_rel: float
    """Largest absolute difference of an output over its largest value; infinite if one is not finite."""
    samples: int

    def holds(self, max_drop: float) -> bool:
        """Whether the drop is at most that, and both are numbers: of a NaN no drop can be told."""
        return self.drop <= max_drop and math.isfinite(self.max_rel)

    def is_alike(self) -> bool:
        """Whether the answers are the same, as far as 16 bits may change them."""
        return self.agreement >= ALIKE

    def is_near(self) -> bool:
        """Whether the outputs are too."""
        return self.is_alike() and self.max_rel <= NEAR

    def __str__(self) -> str:
        return (
            f"drop {100 * self.drop:.2f}%, agreement {100 * self.agreement:.2f}%, largest difference "
            f"{self.max_rel:.2g} of the largest output, {self.samples} samples"
        )
