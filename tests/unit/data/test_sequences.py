"""Greedy CTC decoding and edit distance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur_jobs.training.sequences import decode, edit_distance, edit_similarities, sequence_hits


def _scores(*lines: list[int]) -> np.ndarray:
    return np.eye(5)[np.array(lines)]


def test_repetitions_merge_and_blanks_part() -> None:
    read = decode(_scores([1, 1, 0, 1, 2, 2], [0, 0, 0, 0, 0, 0], [3, 0, 0, 3, 3, 4]))
    assert [row.tolist() for row in read] == [[1, 1, 2], [], [3, 3, 4]]


def test_lines_are_right_or_near() -> None:
    outputs = _scores([1, 1, 0, 1], [1, 2, 3, 4], [0, 0, 0, 0])
    labels = np.array([[1, 1, -1], [1, 2, 4], [2, -1, -1]])
    assert sequence_hits(outputs, labels).tolist() == [True, False, False]
    np.testing.assert_allclose(edit_similarities(outputs, labels), [1, 0.75, 0])


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("flaw", "lawn", 2), ("same", "same", 0)],
)
def test_known_distances(first: str, second: str, distance: int) -> None:
    assert edit_distance(_codes(first), _codes(second)) == distance


def _codes(text: str) -> np.ndarray:
    return np.array([ord(c) for c in text], np.int64)


@given(st.text("ab", max_size=5), st.text("ab", max_size=5))
def test_the_distance_is_the_recursive_one(first: str, second: str) -> None:
    def slow(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        return min(slow(a[1:], b) + 1, slow(a, b[1:]) + 1, slow(a[1:], b[1:]) + (a[0] != b[0]))

    assert edit_distance(_codes(first), _codes(second)) == slow(first, second)
