"""Who reaches whom: which positions change when a layer's outputs do."""

from __future__ import annotations

import numpy as np

from secateur_jobs.pruning.native.codes import as_numbers, code_words, contained, match
from secateur_jobs.pruning.native.probe import Probe
from secateur_jobs.pruning.native.stand_ins import Sample


def find_reach(probe: Probe, sources: list[int]) -> np.ndarray:
    """Return which positions each source (index of a leaf, -1 for the input) reaches.

    bool [sources, positions]. Samples with other signs and sizes see what only positive values hide.
    """
    words = code_words(len(sources))
    reach = _reach(probe, sources, words)
    everyone = np.ones((len(sources), 1), bool)
    for sample, groups in ((Sample.MIXED, words), (Sample.LARGE, everyone)):
        predicted = np.stack([reach[members].any(axis=0) for members in groups.T])
        if (_observe(probe, sample, sources, groups) & ~predicted).any():
            reach |= np.stack([probe.changed(sample, {source: None}) for source in sources])
        probe.forget(sample)
    return reach


def _observe(probe: Probe, sample: Sample, sources: list[int], groups: np.ndarray) -> np.ndarray:
    """Disturb the sources of each column of ``groups`` together: bool [columns, positions]."""
    chosen = [dict.fromkeys(np.asarray(sources)[column].tolist()) for column in groups.T]
    return np.stack([probe.changed(sample, masks) for masks in chosen])


def _reach(probe: Probe, sources: list[int], words: np.ndarray) -> np.ndarray:
    reach = np.zeros((len(sources), probe.layout.size), bool)
    alone = list(range(len(sources)))
    if len(sources) > words.shape[1] + 2:  # else one run for each is as cheap
        alone = _decode(words, _observe(probe, Sample.POSITIVE, sources, words), reach)
    for index in alone:
        reach[index] |= probe.changed(Sample.POSITIVE, {sources[index]: None})
    return reach


def _decode(words: np.ndarray, observed: np.ndarray, reach: np.ndarray) -> list[int]:
    """Note in ``reach`` who is seen alone; return those who are seen together and must be run alone."""
    source = match(words, observed)
    known = np.flatnonzero(source >= 0)
    reach[source[known], known] = True
    unknown = np.flatnonzero((source < 0) & observed.any(axis=0))
    together = np.zeros(len(words), bool)
    _, first = np.unique(as_numbers(observed[:, unknown]), return_index=True)
    for column in unknown[first]:
        possible = contained(words, observed[:, column])
        together |= possible if possible.sum() > 1 else True
    return np.flatnonzero(together).tolist()
