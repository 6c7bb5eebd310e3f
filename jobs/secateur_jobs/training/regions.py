"""Regions that a detector marks in an image, and how well they meet the true ones."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import find_objects, label

THRESHOLD = 0.5
MATCH = 0.5
Box = tuple[int, int, int, int]


def region_counts(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each image how many regions were found, were marked, and are true; int64 [N, 3].

    ``outputs`` [N, 1, H, W] are probabilities, ``labels`` [N, 1, H, W] (or [N, H, W]) 1 where a region is. A
    region is the upright box of pixels above 0.5 that touch; a true one is found if a marked one, used for
    no other, overlaps it by an intersection over union of at least 0.5 (ICDAR's protocol, upright boxes).
    """
    counts = np.zeros((len(outputs), 3), np.int64)
    for row, output, wanted in zip(counts, outputs, labels.reshape(outputs.shape), strict=True):
        guesses, boxes = regions(output), regions(wanted)
        row[:] = _matches(guesses, boxes), len(guesses), len(boxes)
    return counts


def region_hmean(counts: np.ndarray) -> float:
    """Return the harmonic mean of precision and recall over the regions of all images, 0..1."""
    found, marked, true = counts.sum(axis=0)
    return float(2 * found / (marked + true)) if marked + true else 1.0


def regions(mask: np.ndarray) -> list[Box]:
    """Return (top, left, bottom, right) of each connected region of a map [..., H, W] above 0.5."""
    parts, _ = label(mask.reshape(mask.shape[-2:]) > THRESHOLD)
    return [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in find_objects(parts)]


def _matches(guesses: list[Box], boxes: list[Box]) -> int:
    """Pair greedily, the best overlaps first; return how many pairs reach the overlap that counts."""
    pairs = sorted(
        ((_overlap(g, b), i, j) for i, g in enumerate(guesses) for j, b in enumerate(boxes)), reverse=True
    )
    used: tuple[set[int], set[int]] = (set(), set())
    for overlap, i, j in pairs:
        if overlap >= MATCH and i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
    return len(used[0])


def _overlap(first: Box, second: Box) -> float:
    height = min(first[2], second[2]) - max(first[0], second[0])
    width = min(first[3], second[3]) - max(first[1], second[1])
    if height <= 0 or width <= 0:
        return 0.0
    return height * width / (_area(first) + _area(second) - height * width)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
