"""Small networks, each with something that a converter stumbles over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from secateur_jobs.paddle_env import paddle

nn = paddle.nn


class Calls(nn.Layer):
    """Calls a function, which may be one of Paddle's that is no layer."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: Any) -> Any:
        return self._function(*inputs)


def after_conv(*layers: nn.Layer) -> nn.Layer:
    """Return a convolution to 8 channels of 6x6 (from [batch, 3, 8, 8]), followed by ``layers``."""
    return nn.Sequential(nn.Conv2D(3, 8, 3), *layers)


class TwoInputs(nn.Layer):
    """Reads its second input first, so that the program feeds them in another order than ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 8)
        self.fc = nn.Linear(8, 4)

    def forward(self, scale: Any, tokens: Any) -> Any:
        words = self.embed(tokens)
        return self.fc(words * scale.unsqueeze(-1)).mean(axis=1), words


def with_cumprod() -> nn.Layer:
    """Return a network with an operator that no converter knows."""
    return after_conv(nn.ReLU(), Calls(lambda x: paddle.cumprod(x, 1)), nn.Flatten(), nn.Linear(288, 10))


class Branches(nn.Layer):
    """Three branches in training, one convolution for inference, as RepVGG has them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.wide, self.point = (
            nn.Conv2D(3, 8, 3),
            nn.Conv2D(8, 8, 3, padding=1),
            nn.Conv2D(8, 8, 1),
        )
        self.folded: nn.Layer | None = None

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.stem(x)
        x = self.wide(x) + self.point(x) if self.folded is None else self.folded(x)
        return paddle.nn.functional.relu(x).mean([2, 3])


def folded(net: Branches) -> None:
    """Fold the branches, as wide as they are now."""
    wide, point = net.wide, net.point
    outputs, inputs = wide.weight.shape[:2]
    net.folded = nn.Conv2D(inputs, outputs, 3, padding=1)
    net.folded.weight.set_value(wide.weight + paddle.nn.functional.pad(point.weight, [1, 1, 1, 1]))
    net.folded.bias.set_value(wide.bias + point.bias)


def folded_by_numbers(net: Branches) -> None:
    """Fold them for the widths that the network was built with."""
    net.folded = nn.Conv2D(8, 8, 3, padding=1)
    net.folded.weight.set_value(net.wide.weight + paddle.nn.functional.pad(net.point.weight, [1, 1, 1, 1]))
    net.folded.bias.set_value(net.wide.bias + net.point.bias)


def folded_anew(net: Branches) -> nn.Layer:
    """Return another network to export."""
    folded(net)
    return nn.Sequential(net.stem, net.folded, nn.ReLU(), Calls(lambda x: x.mean([2, 3])))


def half_folded(net: Branches) -> None:
    """Forget a branch."""
    net.folded = net.wide


def not_folded(net: Branches) -> int:
    """Return what cannot be exported."""
    return len(net.sublayers())
