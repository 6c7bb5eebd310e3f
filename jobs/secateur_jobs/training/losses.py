"""Training losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import AGREEMENT, AnswerForm, Evaluation
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training import answers
from secateur_jobs.training.class_axis import UNLABELLED, class_axis
from secateur_jobs.training.form import Form
from secateur_jobs.training.labels import check_labels, may_be_unlabelled
from secateur_jobs.training.outputs import Outputs, has_built_in_loss
from secateur_jobs.training.several_labels import given_tensors, judged_labels
from secateur_jobs.user_code import load_callable

Loss = Callable[[Outputs, np.ndarray], paddle.Tensor]
F = paddle.nn.functional
_ONE, _TINY = 1e-3, 1e-12


def loss_function(evaluation: Evaluation, form: Form) -> Loss:
    """Return the loss that the spec names; it takes training outputs and labels, and returns a scalar.

    A built-in one takes the output that is judged (``form`` says which), and checks the labels against it;
    the user's is given all. Raises InvalidInput if the user's is not found, raises, or returns no tensor.
    """
    if evaluation.metric == AGREEMENT:
        return lambda outputs, labels: _from_answers(_judged(outputs, form), labels, evaluation)
    built_in: dict[str, Callable[[paddle.Tensor, paddle.Tensor, Evaluation], paddle.Tensor]] = {
        "cross_entropy": cross_entropy,
        "mse": lambda output, label, _: F.mse_loss(output, label.reshape(output.shape).astype(output.dtype)),
        "ctc": lambda output, label, _: ctc_loss(output, label),
    }
    if evaluation.loss in built_in:
        of_one = built_in[evaluation.loss]

        def of_judged(outputs: Outputs, labels: np.ndarray) -> paddle.Tensor:
            output = _judged(outputs, form)
            wanted = judged_labels(labels, evaluation)
            check_labels(output.shape, wanted, evaluation)
            return of_one(output, paddle.to_tensor(wanted), evaluation)

        return of_judged
    function = users_loss(evaluation)

    def checked(outputs: Outputs, labels: np.ndarray) -> paddle.Tensor:
        where = f"spec.evaluation.loss: {evaluation.loss}"
        try:
            value = function(outputs.given, given_tensors(labels))
        except RAISED as error:
            raise InvalidInput(Reason.FACTORY_FAILED, f"{where} raised {raised(error)}") from error
        if not isinstance(value, paddle.Tensor) or value.size != 1:
            raise InvalidInput(Reason.FACTORY_FAILED, f"{where} must return a tensor with one number")
        return value.reshape([])

    return checked


def _judged(outputs: Outputs, form: Form) -> paddle.Tensor:
    if form.judged is None:
        raise AssertionError("a built-in loss has an output to judge")
    found: paddle.Tensor = outputs.tensors[form.judged]
    return found


def _from_answers(output: paddle.Tensor, labels: np.ndarray, evaluation: Evaluation) -> paddle.Tensor:
    """Return the loss with the unpruned model's answers as targets, a scalar tensor.

    Classes, at each step of a sequence: -log p(answer). Maps: the same of each pixel. Numbers: the mean
    squared difference in units of the answers' mean square.
    """
    name = answers.form_in(labels)
    if name is None:
        raise RuntimeError("agreement is trained with labels that are no answers")
    target = paddle.to_tensor(np.ascontiguousarray(labels[name.value]))
    if name is AnswerForm.MAP:
        return F.binary_cross_entropy(output.astype("float32").clip(_TINY, 1), target.astype("float32"))
    if name is AnswerForm.RELATIVE:
        return F.mse_loss(output.astype("float32"), target) / (target.square().mean() + _TINY)
    axis = answers.class_axis_of(name, evaluation)
    return F.cross_entropy(as_scores(classes_last(output, axis % output.ndim)), target)


def users_loss(evaluation: Evaluation) -> Callable[..., Any]:
    """Return the user's loss; raises InvalidInput if it is not found."""
    return load_callable(evaluation.loss, "spec.evaluation.loss")


def check_loss_exists(evaluation: Evaluation) -> None:
    """Raise InvalidInput if the loss that the spec names is not there."""
    if not has_built_in_loss(evaluation):
        users_loss(evaluation)


def cross_entropy(output: paddle.Tensor, label: paddle.Tensor, evaluation: Evaluation) -> paddle.Tensor:
    """Return the mean of -log p(label) over the labels, a scalar tensor; unlabelled pixels do not count.

    The classes are along :func:`class_axis`.
    """
    rows = as_scores(classes_last(output, class_axis(output.shape, label.shape, evaluation)))
    ignored = UNLABELLED if may_be_unlabelled(output.shape, rows.shape[-1]) else -100
    return F.cross_entropy(rows, label.reshape(rows.shape[:-1]).astype("int64"), ignore_index=ignored)


def classes_last(output: paddle.Tensor, axis: int) -> paddle.Tensor:
    """Return ``output`` with its class axis last; itself where it is."""
    return output if axis == output.ndim - 1 else paddle.moveaxis(output, axis, -1)


def as_scores(rows: paddle.Tensor) -> paddle.Tensor:
    """Return scores [..., classes]; of probabilities, as a network gives that ends in a softmax, their log.

    A softmax over probabilities would be nearly flat, whatever they say.
    """
    if rows.shape[-1] == 1:
        return rows
    values = rows.detach().astype("float32")
    is_distribution = bool((values >= 0).all()) and bool(((values.sum(-1) - 1).abs() < _ONE).all())
    return paddle.log(rows.astype("float32") + _TINY) if is_distribution else rows


def ctc_loss(output: paddle.Tensor, label: paddle.Tensor) -> paddle.Tensor:
    """Return the mean over the lines of -log p(line) per character, a scalar tensor.

    ``output`` [batch, steps, classes] are scores before the softmax, class 0 the blank; ``label`` [batch,
    longest] is padded with -1 (Graves et al., "Connectionist Temporal Classification", 2006).
    """
    output = as_scores(output)
    batch, steps = output.shape[:2]
    lengths = (label >= 0).astype("int64").sum(axis=1)
    return F.ctc_loss(  # it takes the softmax itself, and divides each line by its length
        output.transpose([1, 0, 2]),
        paddle.clip(label, min=0).astype("int32"),
        paddle.full([batch], steps, "int64"),
        lengths,
        blank=0,
    )
