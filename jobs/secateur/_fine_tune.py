"""Train a cut network so that it recovers."""

from __future__ import annotations

from typing import Unpack

from secateur._arguments import (
    Data,
    Inputs,
    Judging,
    check_fits,
    dataset_of,
    evaluation_of,
    input_specs,
    plain_errors,
)
from secateur_api.spec import Distillation, FineTune
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.batching import gather
from secateur_jobs.training.fine_tune import FineTuning, Recovery
from secateur_jobs.training.held import Parts
from secateur_jobs.training.seeding import generators_kept, seed_everything
from secateur_jobs.training.teacher import check_teaching

__all__ = ["Recovery", "fine_tune"]


@plain_errors
def fine_tune(
    net: paddle.nn.Layer,
    inputs: Inputs,
    data: Data,
    eval_data: Data,
    *,
    teacher: paddle.nn.Layer | None = None,
    epochs: int = 3,
    learning_rate: float = 0.001,
    batch_size: int = 32,
    fraction: float = 1.0,
    temperature: float = 4.0,
    distillation: float = 0.7,
    features: float = 0.0,
    clip: float | None = None,
    ema: float = 0.0,
    amp: bool = False,
    seed: int = 0,
    **judging: Unpack[Judging],
) -> Recovery:
    """Train ``net`` in place on ``data``, and measure it on ``eval_data`` after each epoch.

    The optimizer is AdamW. ``learning_rate`` is the peak, from which it decays to zero (cosine). It reads
    ``fraction`` (0..1] of ``data``, ``batch_size`` samples per step. A ``teacher`` (the uncut network) adds
    a term to the loss: ``distillation`` (0..1) is its share, at ``temperature`` (Hinton et al. 2015), and
    ``features`` weighs the difference of inner outputs. ``clip`` is the largest norm of a gradient, ``ema``
    the decay of an average of the weights, ``amp`` mixed precision on a GPU. ``net`` ends with the weights of
    the last epoch and recomputed statistics of normalisations, in evaluation mode. The same arguments give
    the same bytes on one machine. ``judging``: see :class:`Judging`.

    Returns ``losses`` and ``metrics`` with one entry per epoch, and ``notes``. Raises ValueError if the
    training diverges, the teacher returns other outputs, or the data do not fit.

    >>> import numpy as np, secateur
    >>> from paddle.vision.models import LeNet
    >>> images, labels = np.zeros((8, 1, 28, 28), "float32"), np.zeros(8, "int64")
    >>> inputs, data = [("image", (1, 1, 28, 28))], (images, labels)
    >>> recovery = secateur.fine_tune(LeNet(), inputs, data, data, epochs=2, learning_rate=0.01)
    >>> len(recovery.losses), recovery.metrics[-1]
    (2, 1.0)
    """
    specs, evaluation = input_specs(inputs), evaluation_of(judging)
    parts = Parts(dataset_of(data, specs), None, dataset_of(eval_data, specs, "eval_data"))
    weight, feature_weight = (distillation, features) if teacher is not None else (0.0, 0.0)
    settings = FineTune(
        data_fraction=fraction,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        distillation=Distillation(temperature=temperature, weight=weight, features=feature_weight),
        clip=clip,
        ema=ema,
        amp=amp,
    )
    with generators_kept():
        seed_everything(seed)
        check_fits(net, parts.train, specs, evaluation)
        check_fits(net, parts.eval, specs, evaluation, "eval_data")
        if teacher is not None:
            check_teaching(net, teacher, gather(parts.train, [0]), evaluation)
        recovery = FineTuning(
            settings=settings,
            evaluation=evaluation,
            progress=lambda percent, step, metric: None,
            net=net,
            teacher=teacher if teacher is not None else net,
            parts=parts,
            seed=seed,
            baseline=0.0,  # only an early stop looks at it
            metric=None,
        ).run()
    net.eval()
    return recovery
