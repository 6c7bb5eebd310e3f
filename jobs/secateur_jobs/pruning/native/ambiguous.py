"""Inputs that depend on several channels of one producer, as first seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secateur_jobs.pruning.native.codes import contained, weight_of


@dataclass(frozen=True, eq=False)
class Ambiguous:
    """What is to be found out about one producer."""

    leaf: int
    words: np.ndarray
    """bool [channels, bits]."""
    positions: np.ndarray
    seen: np.ndarray
    """What these positions showed: bool [bits, positions]."""

    @property
    def width(self) -> int:
        """Number of channels."""
        return len(self.words)

    def candidates(self) -> np.ndarray:
        """Return which channels' words fit what was seen: bool [channels, positions].

        Where too little was seen, all do.
        """
        patterns, inverse = np.unique(self.seen, axis=1, return_inverse=True)
        fits = np.ones((self.width, patterns.shape[1]), bool)
        for column, pattern in enumerate(patterns.T):
            if pattern.sum() >= weight_of(self.words):
                fits[:, column] = contained(self.words, pattern)
        return fits[:, inverse.reshape(-1)]
