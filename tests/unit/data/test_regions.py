"""The mean of precision and recall over marked regions."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_jobs.training.regions import region_counts, region_hmean, regions


def _map(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((1, 16, 16), np.float32)
    for top, left, bottom, right in boxes:
        mask[0, top:bottom, left:right] = 1
    return mask


def test_regions_are_what_touches() -> None:
    assert regions(_map((1, 1, 4, 5), (8, 2, 12, 9))) == [(1, 1, 4, 5), (8, 2, 12, 9)]
    assert regions(_map((1, 1, 4, 5), (4, 2, 12, 9))) == [(1, 1, 12, 9)]


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ([(1, 1, 5, 9), (8, 2, 12, 9)], 1.0),
        ([(1, 1, 5, 9)], 2 / 3),
        ([(1, 1, 5, 5), (8, 2, 12, 9)], 1.0),  # half of a box is an overlap of 0.5
        ([(1, 1, 5, 4), (8, 2, 12, 9)], 0.5),
        ([], 0.0),
        ([(1, 1, 5, 9), (8, 2, 12, 9), (14, 14, 16, 16)], 0.8),
    ],
)
def test_hmean_counts_what_is_found(marked: list[tuple[int, int, int, int]], expected: float) -> None:
    true = _map((1, 1, 5, 9), (8, 2, 12, 9))
    assert region_hmean(region_counts(_map(*marked)[None], true[None])) == pytest.approx(expected)


def test_nothing_to_find_and_nothing_found_is_right() -> None:
    assert region_hmean(region_counts(_map()[None], _map()[None])) == 1.0
