"""The training loop: AdamW with cosine decay, seeded, with the unpruned model as optional teacher."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Distillation, Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.batching import batch_count, gather, shuffled
from secateur_jobs.training.evaluate import forward
from secateur_jobs.training.labels import check_labels
from secateur_jobs.training.losses import distillation_loss, loss_function
from secateur_jobs.training.seeding import seed_everything

WEIGHT_DECAY = 0.01
OnBatch = Callable[[int, int], None]
OnEpoch = Callable[[int, float], None]


def train(
    net: paddle.nn.Layer,
    dataset: paddle.io.Dataset,
    evaluation: Evaluation,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    fraction: float = 1.0,
    seed: int = 0,
    teacher: paddle.nn.Layer | None = None,
    distillation: Distillation | None = None,
    on_batch: OnBatch | None = None,
    on_epoch: OnEpoch | None = None,
    field: str = "spec.fineTune",
) -> list[float]:
    """Train ``net`` in place and return the mean loss of each epoch; the net is left in evaluation mode.

    The result depends on the net, the data and ``seed`` only. ``fraction`` picks one seeded share of the
    items for all epochs. AdamW (Loshchilov and Hutter 2019) decays weights, not biases or normalisation
    parameters. ``on_batch(done, total)`` is called after every step, ``on_epoch(epoch, loss)`` after epoch
    1, 2, ...

    Raises InvalidInput: TRAINING_DIVERGED if the loss or a tensor is not finite (``field`` is where the
    learning rate stands in the spec), DATASET_INVALID for an item that raises or a label out of range.
    """
    if epochs == 0:
        return []
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(dataset))[: max(1, round(len(dataset) * fraction))]
    steps = batch_count(len(chosen), batch_size)
    step = _Step(net, evaluation, learning_rate, epochs * steps, teacher, distillation)
    losses: list[float] = []
    for epoch in range(epochs):
        seed_everything((seed + epoch) % 2**31)  # dropout, and augmentation in the user's __getitem__
        net.train()
        total = 0.0
        for index, batch in enumerate(shuffled(len(chosen), batch_size, generator)):
            loss = step(gather(dataset, chosen[batch]))
            if not np.isfinite(loss):
                if epoch == index == 0:
                    raise _never_finite(evaluation, loss)
                raise _diverged(field, learning_rate, f"the loss became {loss}", epoch + 1)
            total += loss * len(batch)
            if on_batch is not None:
                on_batch(epoch * steps + index + 1, epochs * steps)
        losses.append(total / len(chosen))
        for name, tensor in net.state_dict().items():  # ReLU makes 0 of NaN: the loss need not show it
            if not np.isfinite(tensor.numpy()).all():
                raise _diverged(field, learning_rate, f"{name} became infinite or NaN", epoch + 1)
        if on_epoch is not None:
            on_epoch(epoch + 1, losses[-1])
    net.eval()
    return losses


def _never_finite(evaluation: Evaluation, loss: float) -> InvalidInput:
    return InvalidInput(
        Reason.TRAINING_DIVERGED,
        f"spec.evaluation.loss: {evaluation.loss} is {loss} in the first step, before any weight changed; "
        "look at the loss, the data and the weights",
    )


def _diverged(field: str, learning_rate: float, what: str, epoch: int) -> InvalidInput:
    return InvalidInput(
        Reason.TRAINING_DIVERGED,
        f"{field}.learningRate: with {learning_rate:g} {what} in epoch {epoch}; use a smaller one",
    )


class _Step:
    """One optimiser step on one batch; returns the loss before it."""

    def __init__(
        self,
        net: paddle.nn.Layer,
        evaluation: Evaluation,
        learning_rate: float,
        total_steps: int,
        teacher: paddle.nn.Layer | None,
        distillation: Distillation | None,
    ) -> None:
        self._net, self._evaluation = net, evaluation
        self._loss = loss_function(evaluation)
        self._teacher = teacher if distillation is not None and distillation.weight > 0 else None
        if self._teacher is not None:
            self._teacher.eval()
        self._distillation = distillation
        self._schedule = paddle.optimizer.lr.CosineAnnealingDecay(learning_rate, T_max=total_steps)
        decayed = {p.name for p in net.parameters() if p.ndim > 1}
        self._optimizer = paddle.optimizer.AdamW(
            self._schedule,
            parameters=net.parameters(),
            weight_decay=WEIGHT_DECAY,
            apply_decay_param_fun=decayed.__contains__,
        )

    def __call__(self, batch: list[np.ndarray]) -> float:
        *inputs, labels = batch
        output = forward(self._net, inputs)
        check_labels(tuple(output.shape), labels, self._evaluation)
        loss = self._loss(output, paddle.to_tensor(labels))
        if self._teacher is not None and self._distillation is not None:
            with paddle.no_grad():
                target = forward(self._teacher, inputs)
            share = self._distillation.weight
            term = distillation_loss(output, target, self._evaluation, self._distillation)
            loss = (1 - share) * loss + share * term
        value = float(loss)
        if np.isfinite(value):  # a diverged step must not reach the weights
            loss.backward()
            self._optimizer.step()
            self._optimizer.clear_grad()
            self._schedule.step()
        return value
