"""Mean intersection over union of segmented pictures (Everingham et al., "The PASCAL VOC Challenge")."""

from __future__ import annotations

import numpy as np

from secateur_jobs.training.class_axis import UNLABELLED


def class_counts(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each sample how many pixels of each class were found rightly, given, and true.

    ``outputs`` [N, H, W, classes] are scores, ``labels`` [N, H, W] classes, 255 where a pixel has none (it
    does not count; with more than 255 classes it is one of them). int64 [N, 3, classes].
    """
    classes = outputs.shape[-1]
    guesses = outputs.argmax(axis=-1).reshape(len(outputs), -1)
    wanted = labels.reshape(len(labels), -1).astype(np.int64)
    counts = np.zeros((len(outputs), 3, classes), np.int64)
    counted = wanted != UNLABELLED if classes <= UNLABELLED else np.ones(wanted.shape, bool)
    for row, guess, truth, here in zip(counts, guesses, wanted, counted, strict=True):
        for kind, chosen in enumerate((guess[here & (guess == truth)], guess[here], truth[here])):
            row[kind] = np.bincount(chosen, minlength=classes)
    return counts


def mean_iou(counts: np.ndarray) -> float:
    """Return the mean over the classes present of intersection / union, over all samples; 0..1.

    A class is present if a pixel has it, or was given it, as in PaddleSeg; without any, it is 0.
    """
    right, given, true = counts.sum(axis=0)
    union = given + true - right
    present = union > 0
    return float((right[present] / union[present]).mean()) if present.any() else 0.0
