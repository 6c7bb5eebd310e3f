"""One optimiser step on one batch."""

from __future__ import annotations

import numpy as np

from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.distillation import Distiller
from secateur_jobs.training.form import Form, form_of, training_forward
from secateur_jobs.training.losses import loss_function
from secateur_jobs.training.optimizer import Optimizer
from secateur_jobs.training.parallel.team import Team
from secateur_jobs.training.precision import Precision


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
