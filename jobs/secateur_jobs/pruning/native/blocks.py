"""Do channels act in equal blocks? Heads are blocks of neighbours; a gate ties channels at equal distances.

Where queries, keys and values are one layer's channels, a head is a block of neighbours in each of the three.

The number of blocks is raised factor by factor for as long as every input depends on one block only. That
takes some ten runs where one channel at a time would take as many as there are channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from secateur_jobs.pruning.native.ambiguous import Ambiguous
from secateur_jobs.pruning.native.codes import code_words, match
from secateur_jobs.pruning.native.probe import Probe
from secateur_jobs.pruning.native.stand_ins import Sample


def _neighbours(width: int, count: int) -> np.ndarray:
    return np.arange(width) // (width // count)


def _equal_distances(width: int, count: int) -> np.ndarray:
    return np.arange(width) % count


def _in_each_of(parts: int) -> Callable[[int, int], np.ndarray]:
    return lambda width, count: np.arange(width) % (width // parts) // (width // parts // count)


_DIVISIONS: tuple[tuple[int, Callable[[int, int], np.ndarray]], ...] = (
    (1, _neighbours),
    (1, _equal_distances),
    (3, _in_each_of(3)),
    (2, _in_each_of(2)),
)
"""Into how many parts the channels are stacked, and the blocks of a width by their number."""


@dataclass
class _Search:
    """The finest division of one producer's channels so far, and the next one to try."""

    of: Ambiguous
    best: np.ndarray | None = None
    """Channel to block, of the finest division that holds."""
    seen: np.ndarray | None = None
    """Block that each position depends on."""
    trying: np.ndarray | None = None
    _divisions: Iterator[np.ndarray] = field(init=False)
    _holds: bool = False

    def __post_init__(self) -> None:
        self._divisions = self._candidates()
        self.trying = next(self._divisions, None)

    def learn(self, observed: np.ndarray) -> None:
        """Take what was seen of the division being tried: bool [runs, positions]."""
        assert self.trying is not None
        words = code_words(int(self.trying.max()) + 1)
        seen = match(words, observed[: words.shape[1], self.of.positions])
        self._holds = bool((seen >= 0).all())
        if self._holds:
            self.best, self.seen = self.trying, seen
        self.trying = next(self._divisions, None)

    def _candidates(self) -> Iterator[np.ndarray]:
        for parts, division in _DIVISIONS:
            most, rest = divmod(self.of.width, parts)
            count = 1
            for factor in _prime_factors(most) if rest == 0 else ():
                if most // count % factor == 0:
                    yield division(self.of.width, count * factor)
                    while self._holds and most // (count := count * factor) % factor == 0:
                        yield division(self.of.width, count * factor)
            if count > 1:
                return


def find_blocks(probe: Probe, ambiguous: list[Ambiguous]) -> dict[int, np.ndarray]:
    """Return for producers that act in blocks who depends on what: leaf to bool [channels, positions]."""
    searches = [_Search(each) for each in ambiguous]
    while running := [search for search in searches if search.trying is not None]:
        words = {s.of.leaf: _words(s.trying) for s in running if s.trying is not None}
        runs = []
        for bit in range(max(w.shape[1] for w in words.values())):
            masks = {leaf: w[:, bit] for leaf, w in words.items() if bit < w.shape[1]}
            runs.append(probe.changed(Sample.POSITIVE, masks))
        observed = np.stack(runs)
        for search in running:
            search.learn(observed)
    return {
        search.of.leaf: search.best[:, None] == search.seen[None]
        for search in searches
        if search.best is not None and search.seen is not None
    }


def _words(block_of: np.ndarray) -> np.ndarray:
    """Return each channel's word, that of its block: bool [channels, bits]."""
    return code_words(int(block_of.max()) + 1)[block_of]


def _prime_factors(number: int) -> list[int]:
    """Return the different prime factors, ascending."""
    factors = []
    divisor = 2
    while number > 1:
        if number % divisor == 0:
            factors.append(divisor)
            while number % divisor == 0:
                number //= divisor
        divisor += 1
    return factors
