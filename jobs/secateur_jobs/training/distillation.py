"""The teacher's part of the loss: its outputs, and those of layers inside, if asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from secateur_api.spec import Distillation, Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.evaluate import forward
from secateur_jobs.training.features import Taps, feature_distance
from secateur_jobs.training.losses import distillation_loss


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

    def __call__(self, loss: paddle.Tensor, output: paddle.Tensor, inputs: list[np.ndarray]) -> paddle.Tensor:
        """Return the whole loss; ``output`` is the student's, just computed, of ``inputs``."""
        with paddle.no_grad():
            target = forward(self._teacher, inputs)
        share = self._settings.weight
        if share > 0:
            term = distillation_loss(output, target, self._evaluation, self._settings)
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
    if teacher is None or settings is None or (settings.weight == 0 and not layers):
        yield None
        return
    distiller = Distiller(student, teacher, evaluation, settings, layers)
    try:
        yield distiller
    finally:
        distiller.close()
