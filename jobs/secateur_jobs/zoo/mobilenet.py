"""Blocks of MobileNetV3 (Howard et al., "Searching for MobileNetV3", 2019) under PaddleOCR's names."""

from __future__ import annotations

from typing import NamedTuple

from secateur_jobs.paddle_env import nn, paddle

F = nn.functional


class Row(NamedTuple):
    """One inverted residual block; widths are those of scale 1."""

    kernel: int
    expanded: int
    out: int
    squeeze: bool
    act: str
    stride: int | tuple[int, int]
    shortcut: bool = True
    """Whether there is one where extent and width stay."""


def divisible(width: float, divisor: int = 8) -> int:
    """Round to a multiple of ``divisor`` without losing more than a tenth (MobileNet's rule)."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


class ConvBN(nn.Layer):
    """Convolution without bias, batch normalisation and, unless ``act`` is empty, an activation."""

    def __init__(
        self, inside: int, out: int, kernel: int, stride: int | tuple[int, int], act: str, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2D(
            inside, out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias_attr=False
        )
        self.bn = nn.BatchNorm2D(out)
        self._act = getattr(F, act) if act else None

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.bn(self.conv(x))
        return x if self._act is None else self._act(x)


class SqueezeExcitation(nn.Layer):
    """Squeeze-and-excitation (Hu, Shen and Sun 2018): each channel weighed by what all of them hold."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2D(1)
        self.conv1 = nn.Conv2D(channels, channels // 4, 1)
        self.conv2 = nn.Conv2D(channels // 4, channels, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        weight = self.conv2(F.relu(self.conv1(self.avg_pool(x))))
        return x * F.hardsigmoid(weight, slope=0.2, offset=0.5)  # PaddleOCR's slope; Paddle's own is 1/6


class InvertedResidual(nn.Layer):
    """Expand, filter each channel on its own, squeeze and project; with a shortcut where shapes allow."""

    def __init__(self, inside: int, middle: int, out: int, row: Row) -> None:
        super().__init__()
        self.expand_conv = ConvBN(inside, middle, 1, 1, row.act)
        self.bottleneck_conv = ConvBN(middle, middle, row.kernel, row.stride, row.act, groups=middle)
        self.mid_se = SqueezeExcitation(middle) if row.squeeze else None
        self.linear_conv = ConvBN(middle, out, 1, 1, "")
        self._shortcut = row.shortcut and row.stride in (1, (1, 1)) and inside == out

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = self.bottleneck_conv(self.expand_conv(x))
        if self.mid_se is not None:
            y = self.mid_se(y)
        y = self.linear_conv(y)
        return x + y if self._shortcut else y
