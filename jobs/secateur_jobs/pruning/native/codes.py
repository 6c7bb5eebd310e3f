"""Code words of constant weight: of which sources is a sum of disturbances?

Every source gets a word with half of its bits set and is disturbed in the runs of these bits. What sees one
source shows that source's word. Two different words of equal weight together are always heavier, so several
sources are never taken for one (Sperner 1928: such words are an antichain).
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=64)
def code_words(count: int) -> np.ndarray:
    """Return ``count`` different words of equal weight, the shortest there are: bool [count, bits]."""
    bits = 1
    while math.comb(bits, bits // 2) < max(count, 2):
        bits += 1
    words = np.zeros((count, bits), bool)
    for word, ones in zip(words, itertools.combinations(range(bits), bits // 2), strict=False):
        word[list(ones)] = True
    words.flags.writeable = False
    return words


def weight_of(words: np.ndarray) -> int:
    """Return how many bits of each of ``code_words`` are set."""
    return int(words[0].sum())


def as_numbers(bits: np.ndarray) -> np.ndarray:
    """Read the columns of a bool array [bits, n] as binary numbers: int64 [n]."""
    return (1 << np.arange(len(bits), dtype=np.int64)) @ bits.astype(np.int64)


def match(words: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return for each column of ``observed`` [bits, n] the index of the equal word, -1 if there is none."""
    known = as_numbers(words.T)
    order = np.argsort(known)
    found = as_numbers(observed)
    place = np.minimum(np.searchsorted(known[order], found), len(known) - 1)
    return np.where(known[order][place] == found, order[place], -1)


def contained(words: np.ndarray, word: np.ndarray) -> np.ndarray:
    """Return which words could be part of an observed one: bool [count]."""
    return ~(words & ~word).any(axis=1)
