"""One optimiser step on one batch, and what it is made of.

AdamW with cosine decay to zero, gradients clipped where that is asked for; mixed precision on a GPU (on the
CPU training stays in float32, which is said and not silently done); an exponential moving average of the
weights, steadier than the last step's (Polyak and Juditsky 1992). A training that went astray is an error
that names the learning rate, or what else it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.distillation import Distiller
from secateur_jobs.training.form import Form, form_of, training_forward
from secateur_jobs.training.losses import loss_function
from secateur_jobs.training.parallel.team import Team

WEIGHT_DECAY = 0.01


class Optimizer(NamedTuple):
    """AdamW and the schedule of its learning rate, which goes on one step at a time."""

    update: paddle.optimizer.AdamW
    schedule: paddle.optimizer.lr.CosineAnnealingDecay


def make_optimizer(
    net: paddle.nn.Layer, learning_rate: float, total_steps: int, clip: float | None
) -> Optimizer:
    """Return AdamW (Loshchilov and Hutter 2019); it decays weights, not biases or normalisation parameters.

    ``clip`` is the largest global norm of the gradient (``paddle.nn.ClipGradByGlobalNorm``); None: unbounded.
    """
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(learning_rate, T_max=total_steps)
    decayed = {p.name for p in net.parameters() if p.ndim > 1}
    update = paddle.optimizer.AdamW(
        schedule,
        parameters=net.parameters(),
        weight_decay=WEIGHT_DECAY,
        apply_decay_param_fun=decayed.__contains__,
        grad_clip=None if clip is None else paddle.nn.ClipGradByGlobalNorm(clip),
    )
    return Optimizer(update, schedule)


_FIRST_SCALE = 2.0**15
ON_CPU = "fineTune.amp has no effect: this stage ran on the CPU, in float32"


def on_gpu() -> bool:
    """Whether this process computes on a GPU."""
    return bool(paddle.device.is_compiled_with_cuda()) and paddle.device.get_device().startswith("gpu")


class Precision:
    """How a step computes: in float32, or with float16 where that is safe and a scaled loss.

    Micikevicius et al., "Mixed Precision Training", 2018; ``paddle.amp.auto_cast`` (O1) and ``GradScaler``.
    """

    def __init__(self, mixed: bool) -> None:
        self._scaler = paddle.amp.GradScaler(init_loss_scaling=_FIRST_SCALE) if mixed and on_gpu() else None

    def cast(self) -> AbstractContextManager[None]:
        """Return the context that the forward pass and the loss are computed in."""
        return nullcontext() if self._scaler is None else paddle.amp.auto_cast(level="O1")

    def backward(self, loss: paddle.Tensor) -> None:
        """Compute the gradients of the loss (mixed: of the scaled loss)."""
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()

    def step(self, optimizer: paddle.optimizer.Optimizer) -> None:
        """Update the weights; mixed: not where a gradient overflowed, and the scale is lowered then."""
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)
            self._scaler.update()


class WeightAverage:
    """The average of a net's trainable parameters over its steps.

    Buffers are not averaged: running statistics belong to one set of weights and are recalibrated to it.
    """

    def __init__(self, net: paddle.nn.Layer, decay: float) -> None:
        """``decay`` 0..1 is the weight of the past."""
        self._parameters = [p for p in net.parameters() if not p.stop_gradient]
        self._average = [p.detach().clone() for p in self._parameters]
        self._decay = decay
        self._steps = 0

    def update(self) -> None:
        """Take in the weights after a step.

        Corrected for its start as Adam's moments are (Kingma and Ba 2015, section 3): after ``t`` steps it
        is the weighted mean of those ``t`` weights alone, so that few steps do not keep the start's.
        """
        self._steps += 1
        share = (1 - self._decay) / (1 - self._decay**self._steps)
        with paddle.no_grad():
            for average, parameter in zip(self._average, self._parameters, strict=True):
                average.set_value(average + (parameter - average) * share)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Let the net have the averaged weights meanwhile; afterwards its own, to the bit."""
        own = [p.detach().clone() for p in self._parameters]
        self.adopt()
        try:
            yield
        finally:
            _put(self._parameters, own)

    def adopt(self) -> None:
        """Give the net the averaged weights for good."""
        _put(self._parameters, self._average)


def _put(parameters: list[paddle.Tensor], values: list[paddle.Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.set_value(value)


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


class Step:
    """Takes a step with this process's part of a batch; every process of the team ends at equal weights."""

    def __init__(
        self,
        net: paddle.nn.Layer,
        evaluation: Evaluation,
        optimizer: Optimizer,
        distiller: Distiller | None,
        precision: Precision,
        team: Team,
    ) -> None:
        self._net, self._evaluation, self._optimizer = net, evaluation, optimizer
        self._form: Form | None = None
        self._distiller, self._precision, self._team = distiller, precision, team
        self._parameters = [p for p in net.parameters() if not p.stop_gradient]

    def __call__(self, part: list[np.ndarray], share: float) -> float:
        """Return the mean loss of the whole batch before the step; not finite: no weight was changed.

        ``part`` holds the columns of this process's samples, ``share`` of the batch: 1 where it works alone.
        """
        if self._form is None:
            self._form = form_of(self._net, part, self._evaluation)
            self._loss = loss_function(self._evaluation, self._form)
        *inputs, labels = part
        with self._precision.cast():
            outputs = training_forward(self._net, inputs, labels)
            loss = self._loss(outputs, labels)
            if self._distiller is not None:
                loss = self._distiller(loss, outputs, part, self._form)
        self._precision.backward(loss if share == 1 else loss * share)
        value = self._team.sum_gradients(self._parameters, float(loss) * share)
        if np.isfinite(value):  # a diverged step must not reach the weights
            self._precision.step(self._optimizer.update)
            self._optimizer.schedule.step()
        self._optimizer.update.clear_grad()
        return value
