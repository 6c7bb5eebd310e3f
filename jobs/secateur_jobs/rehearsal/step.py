"""One training step with the user's loss, on a network that is thrown away."""

from __future__ import annotations

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import PruningJobSpec
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.rehearsal.repeatable import check_made_in_init, shapes_of
from secateur_jobs.runtime.errors import InvalidInput, StageError
from secateur_jobs.training.batching import gather
from secateur_jobs.training.distillation import distiller_of
from secateur_jobs.training.divergence import check_loss
from secateur_jobs.training.features import comparable_layers
from secateur_jobs.training.optimizer import make_optimizer
from secateur_jobs.training.parallel.team import ALONE
from secateur_jobs.training.precision import Precision
from secateur_jobs.training.step import Step

_SAMPLES = 8
_LEARNING_RATE = 0.001  # large enough for every weight that has a gradient to move


def check_step(
    net: paddle.nn.Layer,
    teacher: paddle.nn.Layer | None,
    spec: PruningJobSpec,
    dataset: paddle.io.Dataset,
    batch_size: int,
) -> None:
    """Train ``net`` (a copy) by one step on up to eight first samples; with a ``teacher`` as a round does.

    Raises InvalidInput: FACTORY_FAILED if forward, loss or gradient raise, if no weight moves, or layers are
    made meanwhile; TRAINING_DIVERGED if the loss is not finite; DATASET_INVALID.
    """
    batch = gather(dataset, range(min(_SAMPLES, batch_size, len(dataset))))
    built = shapes_of(net)
    before = {name: p.numpy() for name, p in _trained(net)}
    net.train()
    try:
        loss = _take(net, teacher, spec, batch)
    except StageError:
        raise
    except RAISED as error:
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"{spec.model.origin_field}: one training step of {spec.model.origin} with loss "
            f"{spec.evaluation.loss} raised {raised(error)}",
        ) from error
    check_loss(loss, spec.evaluation, "spec.fineTune", _LEARNING_RATE, 0, 0)
    check_made_in_init(net, built, spec.model, "in training")
    if all(np.array_equal(before[name], p.numpy()) for name, p in _trained(net)):
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"spec.evaluation.loss: a training step with {spec.evaluation.loss} moves no weight of "
            f"{spec.model.origin}; the loss must be computed from the outputs by Paddle's operators (no "
            ".numpy(), no detach), and parameters need stop_gradient=False",
        )


def _take(
    net: paddle.nn.Layer, teacher: paddle.nn.Layer | None, spec: PruningJobSpec, batch: list[np.ndarray]
) -> float:
    settings, features = spec.fine_tune.distillation, list[str]()
    if teacher is not None and settings.features > 0:
        features = comparable_layers(net, teacher, batch[:-1])
        net.train()
    with distiller_of(net, teacher, spec.evaluation, settings, features) as distiller:
        optimizer = make_optimizer(net, _LEARNING_RATE, 1, None)
        return Step(net, spec.evaluation, optimizer, distiller, Precision(mixed=False), ALONE)(batch, 1.0)


def _trained(net: paddle.nn.Layer) -> list[tuple[str, paddle.Tensor]]:
    """Return what a step moves: not the running averages of normalisations, which Paddle calls parameters."""
    return [(name, p) for name, p in net.named_parameters() if not p.stop_gradient]
