"""The text recogniser of PP-OCR mobile: MobileNetV3, a bidirectional LSTM and a CTC head.

Shi, Bai and Yao, "An End-to-End Trainable Neural Network for Image-based Sequence Recognition", 2015 (CRNN),
with the backbone of Howard et al., "Searching for MobileNetV3", 2019, table 2, strided along the height only.
Names and shapes of the parameters are those of PaddleOCR's ``ch_ppocr_mobile_v2.0_rec``, so that checkpoints
of its training (``.pdparams``) load as they are.
"""

from __future__ import annotations

from typing import NamedTuple

from secateur_jobs.data.charset import characters
from secateur_jobs.paddle_env import paddle

nn = paddle.nn
F = nn.functional


class _Row(NamedTuple):
    """One inverted residual block; widths are those of scale 1."""

    kernel: int
    expanded: int
    out: int
    squeeze: bool
    act: str
    stride: int
    """Along the height."""
    shortcut: bool = True
    """Whether there is one where extent and width stay."""


# as published: strides along the height that leave 1 of 32 rows, and no shortcut in the first block, whose
# stride PaddleOCR writes as a pair
_ROWS = (
    _Row(3, 16, 16, True, "relu", 1, shortcut=False),
    _Row(3, 72, 24, False, "relu", 2),
    _Row(3, 88, 24, False, "relu", 1),
    _Row(5, 96, 40, True, "hardswish", 2),
    _Row(5, 240, 40, True, "hardswish", 1),
    _Row(5, 240, 40, True, "hardswish", 1),
    _Row(5, 120, 48, True, "hardswish", 1),
    _Row(5, 144, 48, True, "hardswish", 1),
    _Row(5, 288, 96, True, "hardswish", 2),
    _Row(5, 576, 96, True, "hardswish", 1),
    _Row(5, 576, 96, True, "hardswish", 1),
)
_LIGHT = (0, 1, 3, 6, 8)  # the rows that change the extent or the width
_STEM, _LAST = 16, 576


def _divisible(width: float, divisor: int = 8) -> int:
    """Round to a multiple of ``divisor`` without losing more than a tenth (MobileNet's rule)."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


class _ConvBN(nn.Layer):
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


class _Squeeze(nn.Layer):
    """Squeeze-and-excitation (Hu, Shen and Sun 2018): each channel weighed by what all of them hold."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2D(1)
        self.conv1 = nn.Conv2D(channels, channels // 4, 1)
        self.conv2 = nn.Conv2D(channels // 4, channels, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        weight = self.conv2(F.relu(self.conv1(self.avg_pool(x))))
        return x * F.hardsigmoid(weight, slope=0.2, offset=0.5)  # PaddleOCR's slope; Paddle's own is 1/6


class _Inverted(nn.Layer):
    """Expand, filter each channel on its own, squeeze and project; with a shortcut where shapes allow."""

    def __init__(self, inside: int, middle: int, out: int, row: _Row) -> None:
        super().__init__()
        self.expand_conv = _ConvBN(inside, middle, 1, 1, row.act)
        self.bottleneck_conv = _ConvBN(middle, middle, row.kernel, (row.stride, 1), row.act, groups=middle)
        self.mid_se = _Squeeze(middle) if row.squeeze else None
        self.linear_conv = _ConvBN(middle, out, 1, 1, "")
        self._shortcut = row.shortcut and row.stride == 1 and inside == out

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = self.bottleneck_conv(self.expand_conv(x))
        if self.mid_se is not None:
            y = self.mid_se(y)
        y = self.linear_conv(y)
        return x + y if self._shortcut else y


class _Backbone(nn.Layer):
    """Images [batch, channels, 32, width] to features [batch, out_channels, 1, width / 4]."""

    def __init__(self, channels: int, scale: float, light: bool) -> None:
        super().__init__()
        inside = _divisible(_STEM * scale)
        self.conv1 = _ConvBN(channels, inside, 3, 2, "hardswish")
        blocks = []
        for row in [_ROWS[index] for index in _LIGHT] if light else _ROWS:
            out = _divisible(scale * row.out)
            blocks.append(_Inverted(inside, _divisible(scale * row.expanded), out, row))
            inside = out
        self.blocks = nn.Sequential(*blocks)
        self.out_channels = _divisible(_LAST * scale)
        self.conv2 = _ConvBN(inside, self.out_channels, 1, 1, "hardswish")
        self.pool = nn.MaxPool2D(2, 2)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.pool(self.conv2(self.blocks(self.conv1(x))))


class _Recurrent(nn.Layer):
    """Two bidirectional LSTM layers."""

    def __init__(self, inside: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inside, hidden, num_layers=2, direction="bidirectional")

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.lstm(x)[0]


class _Neck(nn.Layer):
    """Features [batch, channels, 1, steps] to a sequence [batch, steps, 2 x hidden]."""

    def __init__(self, inside: int, hidden: int) -> None:
        super().__init__()
        self.encoder = _Recurrent(inside, hidden)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.encoder(x.squeeze(2).transpose([0, 2, 1]))


class _Head(nn.Layer):
    """Scores of each class in each step, not normalised (PaddleOCR adds the softmax for inference)."""

    def __init__(self, inside: int, classes: int) -> None:
        super().__init__()
        bound = inside**-0.5
        self.fc = nn.Linear(
            inside,
            classes,
            weight_attr=paddle.ParamAttr(initializer=nn.initializer.Uniform(-bound, bound)),
            bias_attr=paddle.ParamAttr(initializer=nn.initializer.Uniform(-bound, bound)),
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(x)


class CRNN(nn.Layer):
    """Lines [batch, channels, 32, width] to scores [batch, width / 4, classes], class 0 the blank."""

    def __init__(self, classes: int, scale: float, hidden: int, channels: int, light: bool) -> None:
        super().__init__()
        self.backbone = _Backbone(channels, scale, light)
        self.neck = _Neck(self.backbone.out_channels, hidden)
        self.head = _Head(2 * hidden, classes)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.head(self.neck(self.backbone(x)))


def crnn_mobile(
    charset: str = "digits",
    scale: float = 0.5,
    hidden: int = 48,
    channels: int = 3,
    space: bool = False,
    light: bool = False,
) -> CRNN:
    """Return the recogniser for lines of 32 rows; ``charset`` and ``space`` are those of the data.

    ``scale`` multiplies the widths of the backbone, ``hidden`` is the LSTM's width per direction. The
    published ``ch_ppocr_mobile_v2.0_rec`` has the defaults with ``ppocr_keys_v1.txt`` and ``space``: 6,625
    classes. ``light`` leaves 5 of the 11 blocks, for a few characters and little training.

    Raises ValueError for an unknown charset or a width below 1.
    """
    if scale <= 0 or hidden < 1 or channels < 1:
        raise ValueError(f"scale {scale:g}, hidden {hidden} and channels {channels} must be above 0")
    return CRNN(len(characters(charset, space)) + 1, scale, hidden, channels, light)
