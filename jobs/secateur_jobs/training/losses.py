"""Training losses, and the distillation term."""

from __future__ import annotations

from collections.abc import Callable

from secateur_api.conditions import Reason
from secateur_api.spec import Distillation, Evaluation
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.user_code import load_callable

Loss = Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor]
F = paddle.nn.functional


def loss_function(evaluation: Evaluation) -> Loss:
    """Return the loss that the spec names; it takes (output, label) tensors and returns a scalar tensor.

    Raises InvalidInput if the user's loss is not found, raises, or returns no tensor.
    """
    if evaluation.loss == "cross_entropy":
        return lambda output, label: F.cross_entropy(output, label.reshape(output.shape[:-1]).astype("int64"))
    if evaluation.loss == "mse":
        return lambda output, label: F.mse_loss(output, label.reshape(output.shape).astype(output.dtype))
    if evaluation.loss == "ctc":
        return ctc_loss
    function = load_callable(evaluation.loss, "spec.evaluation.loss")

    def checked(output: paddle.Tensor, label: paddle.Tensor) -> paddle.Tensor:
        where = f"spec.evaluation.loss: {evaluation.loss}"
        try:
            value = function(output, label)
        except RAISED as error:
            raise InvalidInput(Reason.FACTORY_FAILED, f"{where} raised {raised(error)}") from error
        if not isinstance(value, paddle.Tensor) or value.size != 1:
            raise InvalidInput(Reason.FACTORY_FAILED, f"{where} must return a tensor with one number")
        return value.reshape([])

    return checked


def ctc_loss(output: paddle.Tensor, label: paddle.Tensor) -> paddle.Tensor:
    """Return the mean over the lines of -log p(line) per character, a scalar tensor.

    ``output`` [batch, steps, classes] are scores before the softmax, class 0 the blank; ``label`` [batch,
    longest] is padded with -1 (Graves et al., "Connectionist Temporal Classification", 2006).
    """
    batch, steps = output.shape[:2]
    lengths = (label >= 0).astype("int64").sum(axis=1)
    return F.ctc_loss(  # it takes the softmax itself, and divides each line by its length
        output.transpose([1, 0, 2]),
        paddle.clip(label, min=0).astype("int32"),
        paddle.full([batch], steps, "int64"),
        lengths,
        blank=0,
    )


def distillation_loss(
    student: paddle.Tensor, teacher: paddle.Tensor, evaluation: Evaluation, distillation: Distillation
) -> paddle.Tensor:
    """Return how far the student's output is from the teacher's, a scalar tensor.

    For a regression (``mse``) or a map (``hmean``) the mean squared difference; otherwise ``T^2 * KL(teacher
    || student)`` of the outputs softened by the temperature T along the last axis, averaged over the rows
    (Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2).
    """
    if evaluation.loss == "mse" or evaluation.metric == "hmean":
        return F.mse_loss(student, teacher)
    t = distillation.temperature
    log_student = F.log_softmax(student / t, axis=-1)
    log_teacher = F.log_softmax(teacher / t, axis=-1)
    divergence = (log_teacher.exp() * (log_teacher - log_student)).sum(axis=-1)
    return divergence.mean() * (t * t)
