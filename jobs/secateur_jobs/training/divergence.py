"""A training that went astray is an error that names the learning rate, or what else it was."""

from __future__ import annotations

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput


def check_loss(
    loss: float, evaluation: Evaluation, field: str, learning_rate: float, epoch: int, index: int
) -> None:
    """Raise InvalidInput(TRAINING_DIVERGED) if the loss of batch ``index`` in ``epoch`` is not finite.

    Both count from 0; ``field`` is where the learning rate stands in the spec.
    """
    if np.isfinite(loss):
        return
    if epoch == index == 0:
        raise InvalidInput(
            Reason.TRAINING_DIVERGED,
            f"spec.evaluation.loss: {evaluation.loss} is {loss} in the first step, before any weight "
            "changed; look at the loss, the data and the weights",
        )
    raise _diverged(field, learning_rate, f"the loss became {loss}", epoch)


def check_tensors(net: paddle.nn.Layer, field: str, learning_rate: float, epoch: int) -> None:
    """Raise InvalidInput(TRAINING_DIVERGED) if a parameter or buffer is not finite after ``epoch``."""
    for name, tensor in net.state_dict().items():  # ReLU makes 0 of NaN: the loss need not show it
        if not np.isfinite(tensor.numpy()).all():
            raise _diverged(field, learning_rate, f"{name} became infinite or NaN", epoch)


def _diverged(field: str, learning_rate: float, what: str, epoch: int) -> InvalidInput:
    return InvalidInput(
        Reason.TRAINING_DIVERGED,
        f"{field}.learningRate: with {learning_rate:g} {what} in epoch {epoch + 1}; use a smaller one",
    )
