"""Inputs that depend on several channels of one producer, as first seen: on which?

Do channels act in equal blocks? Heads are blocks of neighbours; a gate ties channels at equal distances.
Where queries, keys and values are one layer's channels, a head is a block of neighbours in each of the three.
The number of blocks is raised factor by factor for as long as every input depends on one block only: some ten
runs where one channel at a time would take as many as there are channels.

Whatever is found is a superset of the truth, so that at worst channels are tied that need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from secateur_jobs.pruning.native.codes import code_words, contained, match, weight_of
from secateur_jobs.pruning.native.probe import Probe
from secateur_jobs.pruning.native.stand_ins import Sample


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


def observe(probe: Probe, sample: Sample, words: Mapping[int, np.ndarray]) -> np.ndarray:
    """Return what changes in the runs of each bit of the producers' words: bool [bits, positions]."""
    runs = []
    for bit in range(max(w.shape[1] for w in words.values())):
        masks = {leaf: w[:, bit] for leaf, w in words.items() if bit < w.shape[1]}
        runs.append(probe.changed(sample, masks))
    return np.stack(runs)


def find_blocks(probe: Probe, ambiguous: list[Ambiguous]) -> dict[int, np.ndarray]:
    """Return for producers that act in blocks who depends on what: leaf to bool [channels, positions]."""
    searches = [_Search(each) for each in ambiguous]
    while running := [search for search in searches if search.trying is not None]:
        words = {s.of.leaf: _words(s.trying) for s in running if s.trying is not None}
        observed = observe(probe, Sample.POSITIVE, words)
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


_BLOCKS = 8
_MOST_RUNS = 512
"""Wider producers are taken to mix all channels unless they act in blocks."""


Refined = dict[int, tuple[np.ndarray, np.ndarray, "int | None"]]
"""Leaf to channels, positions, and the position where all channels mix."""


def refine(probe: Probe, ambiguous: list[Ambiguous]) -> Refined:
    """Return links for the positions of ``ambiguous`` producers, no two of which meet anywhere."""
    mixing = _all_mixing(probe, ambiguous)
    depends = find_blocks(probe, [a for a in ambiguous if a.leaf not in mixing])
    rest = [a for a in ambiguous if a.leaf not in mixing and a.leaf not in depends]
    depends |= _one_by_one(probe, [a for a in rest if a.width <= _MOST_RUNS])
    refined: Refined = {}
    for each in ambiguous:
        if each.leaf in depends:
            channels, columns = np.nonzero(each.candidates() & depends[each.leaf])
            refined[each.leaf] = (channels, each.positions[columns], None)
        else:
            refined[each.leaf] = (*_tie_all(each), int(each.positions[0]))
    return refined


def _all_mixing(probe: Probe, ambiguous: list[Ambiguous]) -> set[int]:
    """Return producers every block of whose channels reaches all the positions in question."""
    masks = [
        {a.leaf: np.arange(a.width) * _BLOCKS // a.width == block for a in ambiguous if a.width >= _BLOCKS}
        for block in range(_BLOCKS)
    ]
    if not ambiguous or not masks[0]:
        return set()
    runs = np.stack([probe.changed(Sample.POSITIVE, mask) for mask in masks])
    return {a.leaf for a in ambiguous if a.leaf in masks[0] and runs[:, a.positions].all()}


def _one_by_one(probe: Probe, ambiguous: list[Ambiguous]) -> dict[int, np.ndarray]:
    """Disturb one channel of each producer at a time: leaf to bool [channels, positions in question]."""
    found = {a.leaf: np.zeros((a.width, len(a.positions)), bool) for a in ambiguous}
    for channel in range(max((a.width for a in ambiguous), default=0)):
        masks = {a.leaf: np.arange(a.width) == channel for a in ambiguous if channel < a.width}
        for sample in (Sample.POSITIVE, Sample.MIXED):
            changed = probe.changed(sample, masks)
            for a in ambiguous:
                if channel < a.width:
                    found[a.leaf][channel] |= changed[a.positions]
    return found


def _tie_all(each: Ambiguous) -> tuple[np.ndarray, np.ndarray]:
    """Return the fewest links that tie all channels and positions into one."""
    spread = np.full(len(each.positions), 0)
    channels = np.concatenate([spread, np.arange(each.width)])
    positions = np.concatenate([each.positions, np.full(each.width, each.positions[0])])
    return channels, positions
