"""The teacher's part of the loss: all its outputs, and those of layers inside, if asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import AGREEMENT, AnswerForm, Distillation, Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training import answers
from secateur_jobs.training.class_axis import candidates, class_axis
from secateur_jobs.training.features import Taps, feature_distance, relative_error
from secateur_jobs.training.form import Form, training_forward
from secateur_jobs.training.labels import judges_classes, judges_lines
from secateur_jobs.training.losses import F, as_scores, classes_last
from secateur_jobs.training.outputs import Outputs
from secateur_jobs.training.several_labels import judged_labels


class Distiller:
    """Adds to a loss how far the student is from its teacher. ``close`` takes its hooks off the nets."""

    def __init__(
        self,
        student: paddle.nn.Layer,
        teacher: paddle.nn.Layer,
        evaluation: Evaluation,
        settings: Distillation,
        layers: Sequence[str] = (),
    ) -> None:
        """``layers`` are the names of the layers whose outputs are compared; see ``comparable_layers``."""
        teacher.eval()
        self._teacher, self._evaluation, self._settings = teacher, evaluation, settings
        self._taps = (Taps(student, layers), Taps(teacher, layers)) if layers else None

    def __call__(
        self, loss: paddle.Tensor, outputs: Outputs, batch: list[np.ndarray], form: Form
    ) -> paddle.Tensor:
        """Return the whole loss; ``outputs`` are the student's, just computed, of ``batch``.

        ``form`` is the student's: its teacher, in evaluation mode, is let return what training returns.
        """
        *inputs, labels = batch
        with paddle.no_grad(), form.shown(self._teacher):
            targets = training_forward(self._teacher, inputs, labels)
        share = 1.0 if self._evaluation.metric == AGREEMENT else self._settings.weight
        if share > 0:
            term = distillation_loss(outputs, targets, labels, form.judged, self._evaluation, self._settings)
            loss = (1 - share) * loss + share * term
        if self._taps is not None:
            student, teacher = (taps.outputs for taps in self._taps)
            loss = loss + self._settings.features * feature_distance(student, teacher)
        return loss

    def close(self) -> None:
        """Take the hooks off the nets."""
        for taps in self._taps or ():
            taps.close()


@contextmanager
def distiller_of(
    student: paddle.nn.Layer,
    teacher: paddle.nn.Layer | None,
    evaluation: Evaluation,
    settings: Distillation | None,
    layers: Sequence[str],
) -> Iterator[Distiller | None]:
    """Yield the distiller of a training; None where there is no teacher, or it has no weight in the loss."""
    has_labels = evaluation.metric != AGREEMENT
    if teacher is None or settings is None or (has_labels and settings.weight == 0 and not layers):
        yield None
        return
    distiller = Distiller(student, teacher, evaluation, settings, layers)
    try:
        yield distiller
    finally:
        distiller.close()


def distillation_loss(
    student: Outputs,
    teacher: Outputs,
    labels: np.ndarray,
    judged: str | None,
    evaluation: Evaluation,
    distillation: Distillation,
) -> paddle.Tensor:
    """Return how far the student's outputs are from the teacher's: the sum over all of floating point.

    The ``judged`` one: scores of classes by ``T^2 * KL(teacher || student)``, softened by the temperature
    T along the class axis and averaged over the rows (Hinton, Vinyals and Dean, "Distilling the Knowledge in
    a Neural Network", 2015, section 2); for ``mse`` and ``hmean`` the mean squared difference. Of all others
    Secateur cannot know what they are: the mean squared difference in units of the teacher's mean square.

    Raises InvalidInput (FACTORY_FAILED) if the outputs do not have the same names and shapes.
    """
    check_same_outputs(student, teacher)
    terms = []
    for other, target in teacher.floats.items():
        mine = student.tensors[other]
        if other != judged:
            terms.append(relative_error(mine, target))
        elif (axis := _axis_of_classes(mine, labels, evaluation)) is not None:
            terms.append(_divergence(mine, target, axis, distillation.temperature))
        elif _is_compared_pixel_by_pixel(labels, evaluation):
            terms.append(F.mse_loss(mine, target))
        else:
            terms.append(relative_error(mine, target))
    return terms[0] if len(terms) == 1 else paddle.add_n(terms)


def _is_compared_pixel_by_pixel(labels: np.ndarray, evaluation: Evaluation) -> bool:
    form = answers.form_in(labels)
    if form is not None:
        return form is AnswerForm.MAP
    return evaluation.loss == "mse" or evaluation.metric == "hmean"


def check_same_outputs(student: Outputs, teacher: Outputs) -> None:
    """Raise InvalidInput (FACTORY_FAILED) unless all outputs have the same names and shapes."""
    ours, theirs = ({n: list(t.shape) for n, t in one.floats.items()} for one in (student, teacher))
    if ours != theirs:
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"spec.fineTune.distillation: the model that is trained gives the outputs {student}, its teacher "
            f"{teacher}; they are compared number by number, so names and shapes must be equal "
            "(distillation.weight: 0 turns it off)",
        )


def _axis_of_classes(output: paddle.Tensor, labels: np.ndarray, evaluation: Evaluation) -> int | None:
    """Return the class axis of the judged output; None where it holds no scores of classes."""
    form = answers.form_in(labels)
    if form is not None:
        is_numbers = form in (AnswerForm.MAP, AnswerForm.RELATIVE)
        return None if is_numbers else answers.class_axis_of(form, evaluation) % output.ndim
    if evaluation.loss == "mse" or evaluation.metric == "hmean":
        return None
    if judges_lines(evaluation):
        return int(output.ndim) - 1
    if judges_classes(evaluation) or evaluation.class_axis is not None:
        return class_axis(output.shape, judged_labels(labels, evaluation).shape, evaluation)
    if labels.dtype.names is not None:  # several, of which nobody said which is this output's
        return None
    if labels.dtype.kind not in "iu":
        return None
    axes = candidates(output.shape, labels.shape)  # metric and loss are the user's
    return axes[0] if len(axes) == 1 and output.shape[axes[0]] > 1 else None


def _divergence(student: paddle.Tensor, teacher: paddle.Tensor, axis: int, t: float) -> paddle.Tensor:
    log_student = F.log_softmax(as_scores(classes_last(student, axis)) / t, axis=-1)
    log_teacher = F.log_softmax(as_scores(classes_last(teacher, axis)) / t, axis=-1)
    divergence = (log_teacher.exp() * (log_teacher - log_student)).sum(axis=-1)
    return divergence.mean() * (t * t)
