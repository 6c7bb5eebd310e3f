"""Data without labels: the unpruned model's own answers stand in for them.

That may be the training set alone: then the answers train and choose, and the labels of the evaluation set
judge. Every item gets as its label what the unpruned model says of it, in the form that is compared. It is a
structured scalar of one field, named by that form, so whatever gathers, slices or joins labels need not know
it. How often another model gives the same answers is its *agreement*; it says nothing of how often either is
right.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import AGREEMENT, AnswerForm, Evaluation, Goal
from secateur_jobs.explain import raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.batching import ArrayDataset, Part, Wrapped, read_item
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.training.outputs import Outputs, judged
from secateur_jobs.training.reading import in_order
from secateur_jobs.training.sequences import collapsed
from secateur_jobs.user_code import Splits

_ONE, _TINY = 1e-3, 1e-12


def answered(splits: Splits, net: paddle.nn.Layer, evaluation: Evaluation) -> Splits:
    """Return the data with the answers of ``net``, the unpruned model, as labels; it must not be changed.

    The evaluation set keeps its labels where the metric reads them. Raises InvalidInput(INVALID_SPEC) where
    the outputs of ``net`` leave open which form is compared, or a smaller metric is the better one.
    """
    form = form_of_answers(net, splits, evaluation)
    train = _with_answers(splits.train, net, evaluation, form)
    if evaluation.metric == AGREEMENT:
        return Splits(train, _with_answers(splits.eval, net, evaluation, form))
    if evaluation.goal is Goal.MINIMIZE:
        raise InvalidInput(
            Reason.INVALID_SPEC,
            "spec.evaluation.goal: the training set has no labels, so agreement with the unpruned model "
            "chooses on it, which is better where it is larger; give a metric that is so too",
        )
    return Splits(train, splits.eval)


def judged_by(dataset: paddle.io.Dataset, evaluation: Evaluation) -> Evaluation:
    """Return how a data set is judged and trained on: by agreement where its labels are answers."""
    if evaluation.metric == AGREEMENT or not has_answers(dataset):
        return evaluation
    return evaluation.by_agreement()


def has_answers(dataset: paddle.io.Dataset) -> bool:
    """Whether the labels of a data set are answers."""
    while isinstance(dataset, (Part, Wrapped)):
        dataset = dataset.dataset
    if isinstance(dataset, ArrayDataset):
        return form_in(dataset.arrays[-1]) is not None
    return isinstance(dataset, Answered)


def form_of_answers(net: paddle.nn.Layer, splits: Splits, evaluation: Evaluation) -> AnswerForm:
    """Return ``evaluation.form``, that of the labels' metric, or the one that a first item's outputs show.

    Raises InvalidInput(INVALID_SPEC), listing the forms, where they do, or do not fit the form that is named.
    """
    inputs = [column[None] for column in read_item(splits.eval, 0)[:-1]]
    output = _judged(net, inputs, evaluation)
    form = evaluation.form or _FORM_OF.get(evaluation.metric) or plain_form(output)
    if form is None and evaluation.metric != AGREEMENT:  # only the user's metric knows what it reads
        form = AnswerForm.RELATIVE
    shape = list(output.shape)
    if form is None:
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.evaluation.form: output {shape} may be read in several ways; say classes (scores, the "
            "largest is the answer), sequence (steps of scores, as CTC decodes them), map (of 0..1, above a "
            "threshold) or relative (numbers that should stay near)",
        )
    if form is AnswerForm.SEQUENCE and output.ndim != 3:
        raise _unfit(form, shape, "[batch, steps, classes]")
    if form is AnswerForm.CLASSES and (output.ndim < 2 or output.shape[_axis(evaluation)] < 2):
        raise _unfit(form, shape, "scores of two or more classes along evaluation.classAxis (else the last)")
    if form is AnswerForm.CLASSES and output.ndim > 3 and evaluation.class_axis is None:
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.evaluation.classAxis: output {shape} has several axes; say which one the classes are "
            "along (1 for [N, C, H, W])",
        )
    if form is AnswerForm.MAP and not ((output >= 0).all() and (output <= 1).all()):
        raise _unfit(form, shape, "values in 0..1")
    return form


def form_to_compare(net: paddle.nn.Layer, splits: Splits, evaluation: Evaluation) -> AnswerForm:
    """Return :func:`form_of_answers`, or numbers where only labels say how the metric reads an output."""
    try:
        return form_of_answers(net, splits, evaluation)
    except InvalidInput:
        return AnswerForm.RELATIVE


_FORM_OF = {
    "accuracy": AnswerForm.CLASSES,
    "top5_accuracy": AnswerForm.CLASSES,
    "miou": AnswerForm.CLASSES,
    "sequence_accuracy": AnswerForm.SEQUENCE,
    "edit_similarity": AnswerForm.SEQUENCE,
    "hmean": AnswerForm.MAP,
}
"""What the metrics of labels read."""


def note_of_form(form: AnswerForm, evaluation: Evaluation) -> str:
    """Say what is compared, for a person."""
    compared = {
        AnswerForm.CLASSES: "the share of items with the same class",
        AnswerForm.SEQUENCE: "the share of items with the same decoded sequence",
        AnswerForm.MAP: f"the mean intersection over union of what is above {evaluation.threshold:g}",
        AnswerForm.RELATIVE: "1 - relative error of the outputs, 0 at least",
    }
    if evaluation.metric != AGREEMENT:
        return (
            "the training set has no labels: training, criterion and repair use the unpruned model's "
            f"answers, and what training items choose by agreement with them, {compared[form]} (form "
            f"{form.value}); {evaluation.metric} is measured by the labels of the evaluation set"
        )
    return (
        "no labels were seen: agreement with the unpruned model is measured, "
        f"{compared[form]} (form {form.value}); its own is 1 by definition"
    )


def form_in(labels: np.ndarray) -> AnswerForm | None:
    """Return the form of labels that are answers; None for others."""
    names = labels.dtype.names
    return AnswerForm(names[0]) if names is not None and names[0] in _NAMES else None


_NAMES = frozenset(form.value for form in AnswerForm)


def agreement(output: np.ndarray, labels: np.ndarray, evaluation: Evaluation) -> np.ndarray:
    """Return how far each sample's ``output`` [N...] agrees with the answer in ``labels``, in 0..1: [N...].

    ``classes``: whether the largest score is at the same place. ``sequence``: whether the same line is read.
    ``map``: intersection over union of the pixels above the threshold; 1 where both have none. ``relative``:
    1 - |output - answer| / |answer| (Euclidean), at least 0.
    """
    form, answer = _taken(labels)
    if form is AnswerForm.CLASSES:
        return np.asarray(output.argmax(axis=_axis(evaluation)) == answer)
    if form is AnswerForm.SEQUENCE:
        pairs = zip(collapsed(output.argmax(axis=-1)), collapsed(answer), strict=True)
        return np.array([np.array_equal(read, wanted) for read, wanted in pairs], bool)
    rows, wanted_rows = (array.reshape(len(array), -1) for array in (output, answer))
    if form is AnswerForm.MAP:
        here, there = rows > evaluation.threshold, wanted_rows.astype(bool)
        union = (here | there).sum(axis=1)
        return np.where(union == 0, 1.0, (here & there).sum(axis=1) / np.maximum(union, 1))
    difference = np.linalg.norm(rows.astype(np.float64) - wanted_rows, axis=1)
    size = np.linalg.norm(wanted_rows.astype(np.float64), axis=1)
    return np.maximum(0.0, 1 - difference / np.maximum(size, _TINY))


def class_axis_of(form: AnswerForm, evaluation: Evaluation) -> int:
    """Return the axis of the scores, for answers that are classes."""
    return -1 if form is AnswerForm.SEQUENCE else _axis(evaluation)


def drawn(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return answers as targets of Fisher's criterion, whose loss must have a gradient at the unpruned model.

    Numbers are drawn from a normal distribution around the answer, as wide as its root mean square (Kunstner
    et al., "Limitations of the Empirical Fisher Approximation", 2019: targets are the model's own); of the
    other forms, and of labels, nothing changes.
    """
    if form_in(labels) is not AnswerForm.RELATIVE:
        return labels
    moved = labels.copy()
    answer = moved[AnswerForm.RELATIVE.value]
    noise = random.standard_normal(answer.shape) * np.sqrt(np.square(answer).mean())
    moved[AnswerForm.RELATIVE.value] = answer + noise
    return moved


# ---- the answers ----


def _with_answers(
    dataset: paddle.io.Dataset, net: paddle.nn.Layer, evaluation: Evaluation, form: AnswerForm
) -> paddle.io.Dataset:
    if not isinstance(dataset, ArrayDataset):
        return Answered(dataset, net, evaluation, form)
    batches = [
        _answers(net, inputs, evaluation, form) for *inputs, _ in in_order(dataset, evaluation.batch_size)
    ]
    return ArrayDataset([*dataset.arrays[:-1], np.concatenate(batches)])


class Answered(paddle.io.Dataset):
    """A data set whose items have the unpruned model's answers as labels, computed as they are read."""

    def __init__(
        self, dataset: paddle.io.Dataset, net: paddle.nn.Layer, evaluation: Evaluation, form: AnswerForm
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self._net, self._evaluation, self._form = net, evaluation, form

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        *inputs, _ = read_item(self.dataset, index)
        columns = [column[None] for column in inputs]
        return (*inputs, _answers(self._net, columns, self._evaluation, self._form)[0])

    def __len__(self) -> int:
        return len(self.dataset)


def _answers(
    net: paddle.nn.Layer, inputs: list[np.ndarray], evaluation: Evaluation, form: AnswerForm
) -> np.ndarray:
    """Return the answers to a batch, structured [N]."""
    return as_answers(_judged(net, inputs, evaluation), evaluation, form)


def as_answers(output: np.ndarray, evaluation: Evaluation, form: AnswerForm) -> np.ndarray:
    """Return what an output [N...] says, in the form that is compared: labels, structured [N]."""
    if form is AnswerForm.CLASSES:
        answer = output.argmax(axis=_axis(evaluation)).astype(np.int64)
    elif form is AnswerForm.SEQUENCE:
        answer = output.argmax(axis=-1).astype(np.int64)
    elif form is AnswerForm.MAP:
        answer = (output > evaluation.threshold).astype(np.uint8)
    else:
        answer = output.astype(np.float32)
    labels = np.zeros(len(answer), [(form.value, answer.dtype, answer.shape[1:])])
    labels[form.value] = answer
    return labels


def _judged(net: paddle.nn.Layer, inputs: list[np.ndarray], evaluation: Evaluation) -> np.ndarray:
    try:
        with eval_mode(net), paddle.no_grad():
            outputs: Outputs = forward(net, inputs)
    except (ValueError, IndexError) as error:  # such as a token that the model does not know
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"spec.data: the model cannot run on what the data give: {raised(error)}",
        ) from error
    found: Any = outputs.tensors[judged(outputs, evaluation)]
    return np.asarray(found.numpy())


def _taken(labels: np.ndarray) -> tuple[AnswerForm, np.ndarray]:
    form = form_in(labels)
    if form is None:
        raise RuntimeError("agreement is asked for with labels that are no answers")
    return form, labels[form.value]


def _axis(evaluation: Evaluation) -> int:
    return -1 if evaluation.class_axis is None else evaluation.class_axis


def plain_form(output: np.ndarray) -> AnswerForm | None:
    """Return the form that one item's output [1...] leaves no doubt of."""
    if output.ndim == 2 and output.shape[1] > 1 and (output >= 0).all() and abs(output.sum() - 1) < _ONE:
        return AnswerForm.CLASSES
    if output.ndim == 4 and output.shape[1] == 1 and (output >= 0).all() and (output <= 1).all():
        return AnswerForm.MAP
    return None


def _unfit(form: AnswerForm, shape: list[int], wanted: str) -> InvalidInput:
    return InvalidInput(
        Reason.INVALID_SPEC, f"spec.evaluation.form: {form.value} needs {wanted}, the output is {shape}"
    )
