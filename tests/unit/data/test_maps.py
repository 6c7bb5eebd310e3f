"""Labels against outputs with a place for each pixel: axis of the classes, unlabelled pixels, mean IoU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.class_axis import class_axis
from secateur_jobs.training.labels import check_labels
from secateur_jobs.training.segmentation import class_counts, mean_iou

_CLASSES = Evaluation(metric="miou")
_MSE = {"loss": "mse", "metric": "a:b"}
_HMEAN = {"loss": "a:b", "metric": "hmean"}


@pytest.mark.parametrize(
    ("output", "labels", "axis"),
    [
        ([8, 10], [8], 1),
        ([8, 10], [8, 1], 1),
        ([8, 5, 10], [8, 5], 2),
        ([8, 3, 16, 24], [8, 16, 24], 1),
        ([8, 3, 16, 24], [8, 1, 16, 24], 1),
        ([8, 16, 24, 3], [8, 16, 24], 3),
        ([1, 1, 16, 24], [1, 16, 24], 1),
    ],
)
def test_the_classes_are_along_the_axis_that_labels_lack(
    output: list[int], labels: list[int], axis: int
) -> None:
    assert class_axis(output, labels, _CLASSES) == axis


def test_an_open_axis_is_refused_until_it_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"spec\.evaluation\.classAxis: labels of shape \[4, 8, 8\]"):
        class_axis([4, 8, 8, 8], [4, 8, 8], _CLASSES)
    assert class_axis([4, 8, 8, 8], [4, 8, 8], Evaluation(class_axis=-1)) == 3
    assert class_axis([4, 8, 8, 8], [4, 8, 8], Evaluation(class_axis=1)) == 1
    for wrong in (4, -4, -5):
        with pytest.raises(InvalidInput, match=f"have no class axis {wrong}"):
            class_axis([4, 8, 8, 8], [4, 8, 8], Evaluation(class_axis=wrong))


@pytest.mark.parametrize(
    ("evaluation", "output", "labels", "words"),
    [
        ({"metric": "miou"}, [2, 3, 8, 8], np.zeros((2, 4, 4), int), "do not fit outputs of [2, 3, 8, 8]"),
        ({"metric": "miou"}, [2, 3, 8, 8], np.full((2, 8, 8), 3), "0..2, or 255 where a pixel has no label"),
        ({}, [2, 3, 8, 8], np.full((2, 8, 8), 255), "accuracy counts every pixel, miou leaves out"),
        ({}, [2, 300], np.full(2, 300), "label 300 is out of range"),
        (_MSE, [2, 3, 8, 8], np.zeros((2, 1, 8, 8)), "mse compares number by number"),
        (_MSE, [2, 8, 4], np.zeros((2, 4, 8)), "mse compares number by number"),
        (_HMEAN, [2, 3, 8, 8], np.zeros((2, 1, 8, 8)), "hmean needs outputs [batch, 1, H, W]"),
        (_HMEAN, [2, 1, 8, 8], np.zeros((2, 1, 2, 2)), "hmean needs outputs [batch, 1, H, W]"),
    ],
)
def test_labels_of_another_shape_are_refused_not_broadcast(
    evaluation: dict[str, Any], output: list[int], labels: np.ndarray, words: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_labels(output, labels, Evaluation(**evaluation))
    assert words in str(caught.value)
    assert caught.value.reason is Reason.DATASET_INVALID


def test_mean_iou_counts_classes_that_are_present() -> None:
    labels = np.array([[[0, 0, 1, 255]], [[1, 1, 1, 255]]])
    guesses = np.array([[[0, 1, 1, 2]], [[1, 1, 0, 1]]])
    outputs = np.eye(4)[guesses]  # [2, 1, 4, classes]
    counts = class_counts(outputs, labels)
    assert counts.shape == (2, 3, 4)
    # class 0: one right of the three that have or were given it; class 1: three of five; 2 and 3 are absent
    assert mean_iou(counts) == pytest.approx((1 / 3 + 3 / 5) / 2)
    assert mean_iou(class_counts(outputs, np.full_like(labels, 255))) == 0.0


def test_255_is_a_class_where_there_are_so_many() -> None:
    outputs = np.eye(256)[np.array([[[255, 0]]])]
    assert mean_iou(class_counts(outputs, np.array([[[255, 0]]]))) == 1.0
