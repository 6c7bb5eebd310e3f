"""Small trained nets that several benchmarks share: trained once per seed, kept in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from secateur_api.spec import Evaluation, InputSpec
from secateur_jobs.data.digits import splits
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.train import train
from secateur_jobs.user_code import Splits
from secateur_jobs.zoo.digits import residual_net

nn = paddle.nn
SIZE = 20
INPUTS = [InputSpec(name="image", shape=[1, 1, SIZE, SIZE])]
EVALUATION = Evaluation(batch_size=256)


def depthwise_net(width: int = 16, num_classes: int = 10, stride: int = 1) -> nn.Layer:
    """Return a MobileNetV1 of five blocks (depthwise 3x3, then 1x1; Howard et al. 2017), 1/4 the side.

    ``stride`` is the first convolution's and makes it smaller still.
    """
    layers = _conv(1, width, 3, stride, 1)
    inside = width
    for times, step in ((1, 1), (2, 2), (2, 1), (4, 2), (4, 1)):
        outside = times * width
        layers += [*_conv(inside, inside, 3, step, inside), *_conv(inside, outside, 1, 1, 1)]
        inside = outside
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(inside, num_classes))


def _conv(inside: int, outside: int, kernel: int, stride: int, groups: int) -> list[nn.Layer]:
    padding = kernel // 2
    conv = nn.Conv2D(inside, outside, kernel, stride=stride, padding=padding, groups=groups, bias_attr=False)
    return [conv, nn.BatchNorm2D(outside), nn.ReLU()]


@dataclass(frozen=True)
class Recipe:
    """How a baseline is built and trained."""

    build: Callable[[], nn.Layer]
    epochs: int
    learning_rate: float


RECIPES = {"residual": Recipe(residual_net, 6, 0.004), "depthwise": Recipe(depthwise_net, 10, 0.008)}


@dataclass
class Baseline:
    """A trained net in evaluation mode, its data, and how good it is."""

    net: nn.Layer
    data: Splits
    metric: float


def baseline(name: str, seed: int, home: Path) -> Baseline:
    """Return the baseline of a recipe and a seed; the seed decides data, first weights and training."""
    recipe = RECIPES[name]
    data = Splits(*splits(size=SIZE, seed=seed))
    seed_everything(seed)
    net = recipe.build()
    file = home / f"{name}-{seed}-{SIZE}-{recipe.epochs}-{recipe.learning_rate:g}.npz"
    if file.exists():
        net.set_state_dict(dict(np.load(file)))
    else:
        train(
            net,
            data.train,
            EVALUATION,
            epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            batch_size=64,
            seed=seed,
        )
        home.mkdir(parents=True, exist_ok=True)
        np.savez(file, **{key: value.numpy() for key, value in net.state_dict().items()})
    net.eval()
    return Baseline(net, data, evaluate(net, data.eval, EVALUATION))
