"""The training loop: seeded, with the unpruned model as optional teacher, by one process or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import Distillation, Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.batching import batch_count, shuffled
from secateur_jobs.training.distillation import distiller_of
from secateur_jobs.training.parallel.team import ALONE, Team, synchronised
from secateur_jobs.training.reading import in_batches
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.step import (
    Precision,
    Step,
    WeightAverage,
    check_loss,
    check_tensors,
    make_optimizer,
)

OnBatch = Callable[[int, int], None]
OnEpoch = Callable[[int, float], "bool | None"]


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
    features: Sequence[str] = (),
    clip: float | None = None,
    ema: float = 0.0,
    amp: bool = False,
    team: Team = ALONE,
    on_batch: OnBatch | None = None,
    on_epoch: OnEpoch | None = None,
    field: str = "spec.fineTune",
) -> list[float]:
    """Train ``net`` in place and return the mean loss of each epoch; the net is left in evaluation mode.

    The result depends on the net, the data and ``seed`` only. ``fraction`` picks one seeded share of the
    items for all epochs. ``batch_size`` counts the samples of all processes of the ``team``. ``features``
    are the layers that are compared with the teacher's (``features.comparable_layers``). With ``ema`` (decay)
    the net is left with its averaged weights, which ``on_epoch`` sees as well; normalisations are for the
    caller to recalibrate.

    ``on_batch(done, total)`` is called after every step, ``on_epoch(epoch, loss)`` after epoch 1, 2, ...;
    an epoch after which it returns True is the last.

    Raises InvalidInput: TRAINING_DIVERGED if the loss or a tensor is not finite (``field`` is where the
    learning rate stands in the spec), DATASET_INVALID for an item that raises or a label out of range.
    Retryable(WORKER_LOST) if another process of the team is lost.
    """
    if epochs == 0:
        return []
    generator = np.random.default_rng(seed)
    chosen = generator.permutation(len(dataset))[: max(1, round(len(dataset) * fraction))]
    steps = batch_count(len(chosen), batch_size)
    _check_shares(len(chosen) // steps, team, field)
    average = WeightAverage(net, ema) if ema > 0 else None
    losses: list[float] = []
    with distiller_of(net, teacher, evaluation, distillation, features) as distiller:
        optimizer = make_optimizer(net, learning_rate, epochs * steps, clip)
        step = Step(net, evaluation, optimizer, distiller, Precision(amp), team)
        for epoch in range(epochs):
            # dropout; each process of a team draws its own
            seed_everything((seed + epoch + team.rank * 1_000_003) % 2**31)
            net.train()
            total = 0.0
            with synchronised(net, team):
                batches = shuffled(len(chosen), batch_size, generator)
                parts = [chosen[team.part(batch)] for batch in batches]
                read = in_batches(dataset, parts, (seed, epoch, team.rank))
                for index, (batch, part) in enumerate(zip(batches, read, strict=True)):
                    loss = step(part, len(part[-1]) / len(batch))
                    check_loss(loss, evaluation, field, learning_rate, epoch, index)
                    total += loss * len(batch)
                    if average is not None:
                        average.update()
                    if on_batch is not None:
                        on_batch(epoch * steps + index + 1, epochs * steps)
            losses.append(total / len(chosen))
            check_tensors(net, field, learning_rate, epoch)
            with average.shown() if average is not None else nullcontext():
                if on_epoch is not None and on_epoch(epoch + 1, losses[-1]):
                    break
    if average is not None:
        average.adopt()
    net.eval()
    return losses


def _check_shares(smallest: int, team: Team, field: str) -> None:
    if smallest < team.size:
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"{field}.workers: {team.size} workers share batches of {smallest} samples; each needs at least "
            "one: use fewer workers, a larger batchSize or more data",
        )
