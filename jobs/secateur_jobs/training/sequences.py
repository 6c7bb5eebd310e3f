"""Lines of text as a recogniser gives them: greedy CTC decoding, and how near they are to what was written.

Outputs are scores [N, steps, classes] with class 0 the blank; labels are classes [N, longest], padded with
-1. Graves et al., "Connectionist Temporal Classification", 2006, section 3.2 (best path decoding).
"""

from __future__ import annotations

import numpy as np

BLANK = 0


def decode(outputs: np.ndarray) -> list[np.ndarray]:
    """Return the classes read in each line: the best of each step, repetitions merged, blanks dropped."""
    return collapsed(outputs.argmax(axis=-1))


def collapsed(best: np.ndarray) -> list[np.ndarray]:
    """Return the lines of the best class of each step, [N, steps]: repetitions merged, blanks dropped."""
    fresh = np.ones(best.shape, bool)
    fresh[:, 1:] = best[:, 1:] != best[:, :-1]
    keep = fresh & (best != BLANK)
    return [row[kept] for row, kept in zip(best, keep, strict=True)]


def lengths(labels: np.ndarray) -> np.ndarray:
    """Return how many classes each label row has before its padding; int64 [N]."""
    return np.asarray((labels >= 0).sum(axis=1), np.int64)


def sequence_hits(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether each line is read without an error; bool [N] (PaddleOCR's ``acc``)."""
    return np.array([np.array_equal(read, wanted) for read, wanted in _pairs(outputs, labels)], bool)


def edit_similarities(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return 1 - edit distance / longer of the two lines, for each line; float64 [N].

    The mean is PaddleOCR's ``norm_edit_dis``, except that blank spaces count here.
    """
    return np.array(
        [
            1 - edit_distance(read, wanted) / max(len(read), len(wanted), 1)
            for read, wanted in _pairs(outputs, labels)
        ],
        np.float64,
    )


def edit_distance(first: np.ndarray, second: np.ndarray) -> int:
    """Return the least number of insertions, deletions and replacements (Levenshtein 1966)."""
    offsets = np.arange(len(second) + 1)
    row = offsets
    for index, wanted in enumerate(first, 1):
        replaced = row[:-1] + (second != wanted)
        best = np.concatenate(([index], np.minimum(replaced, row[1:] + 1)))
        # an insertion costs 1 a position: the running minimum of what is left of it
        row = np.minimum.accumulate(best - offsets) + offsets
    return int(row[-1])


def _pairs(outputs: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (read, label[:length])
        for read, label, length in zip(decode(outputs), labels, lengths(labels), strict=True)
    ]
