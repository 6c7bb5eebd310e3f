"""The optimiser of every training: AdamW, cosine decay to zero, gradients clipped where that is asked for."""

from __future__ import annotations

from typing import NamedTuple

from secateur_jobs.paddle_env import paddle

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
