"""The nets that are pruned, what they are trained on, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secateur_api.spec import Evaluation, InputSpec, Model, Pretrain
from secateur_jobs.paddle_env import paddle
from tests.bench.engine.data import DIGITS_PER_LINE, SIDE

nn = paddle.nn


class LineNet(nn.Layer):
    """Lines [batch, 1, 32, W] to scores [batch, W / 4, classes]: five convolutions, a bidirectional LSTM.

    The CRNN of Shi, Bai and Yao (2015) at a tenth of its width.
    """

    def __init__(self, classes: int = 11, hidden: int = 48) -> None:
        super().__init__()
        layers: list[nn.Layer] = []
        inside = 1
        for outside, stride in ((16, 2), (32, (2, 1)), (48, 2), (64, (2, 1))):
            layers += [nn.Conv2D(inside, outside, 3, stride=stride, padding=1, bias_attr=False)]
            layers += [nn.BatchNorm2D(outside), nn.ReLU()]
            inside = outside
        layers += [nn.Conv2D(inside, 64, (2, 1), bias_attr=False), nn.BatchNorm2D(64), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.lstm = nn.LSTM(64, hidden, direction="bidirectional")
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.head(self.lstm(self.features(x).squeeze(2).transpose([0, 2, 1]))[0])


@dataclass(frozen=True)
class Case:
    """One net with its data."""

    model: Model
    data: str
    """``digits`` or ``lines``."""
    evaluation: Evaluation
    speedup: float
    """What is asked for beside half of the MACs: times the baseline's speed on x86."""


def _case(data: str, factory: str, epochs: int, learning_rate: float, speedup: float, **args: Any) -> Case:
    is_line = data == "lines"
    width = SIDE * (DIGITS_PER_LINE if is_line else 1)
    return Case(
        model=Model(
            factory=factory,
            args=args,
            inputs=[InputSpec(name="image", shape=[1, 1, SIDE, width])],
            pretrain=Pretrain(epochs=epochs, learning_rate=learning_rate),
        ),
        data=data,
        evaluation=Evaluation(
            metric="sequence_accuracy" if is_line else "accuracy",
            loss="ctc" if is_line else "cross_entropy",
            batch_size=256,
        ),
        speedup=speedup,
    )


CASES = {
    "residual": _case("digits", "secateur_jobs.zoo.digits:residual_net", 8, 0.004, 1.6),
    "depthwise": _case("digits", "tests.bench.baselines:depthwise_net", 10, 0.004, 1.6, width=48, stride=2),
    "crnn": _case("lines", "tests.bench.engine.cases:LineNet", 10, 0.004, 1.3),
}
