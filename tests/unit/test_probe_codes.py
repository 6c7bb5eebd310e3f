"""Code words: one source is read off exactly, several are never taken for one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from secateur_jobs.pruning.native.codes import code_words, contained, match, weight_of


@pytest.mark.parametrize("count", [1, 2, 3, 10, 64, 252, 253, 2048])
def test_words_are_different_of_equal_weight_and_as_short_as_can_be(count):
    words = code_words(count)
    bits = words.shape[1]
    assert words.shape[0] == count
    assert len(np.unique(words, axis=0)) == count
    assert set(words.sum(axis=1)) == {weight_of(words)}
    assert bits == 1 or math.comb(bits - 1, (bits - 1) // 2) < max(count, 2) <= math.comb(bits, bits // 2)


def test_a_word_is_found_and_a_mixture_is_not():
    words = code_words(20)
    assert match(words, words.T).tolist() == list(range(20))
    for one in range(20):
        for other in range(one):
            both = words[one] | words[other]
            assert match(words, both[:, None]).tolist() == [-1]
            assert contained(words, both)[[one, other]].all()
