"""The text recogniser of PP-OCR mobile: MobileNetV3, a bidirectional LSTM and a CTC head.

Shi, Bai and Yao, "An End-to-End Trainable Neural Network for Image-based Sequence Recognition", 2015 (CRNN),
with the backbone of Howard et al., "Searching for MobileNetV3", 2019, table 2, strided along the height only.
Names and shapes of the parameters are those of PaddleOCR's ``ch_ppocr_mobile_v2.0_rec``, so that checkpoints
of its training (``.pdparams``) load as they are.
"""

from __future__ import annotations

from secateur_jobs.data.charset import characters
from secateur_jobs.paddle_env import nn, paddle
from secateur_jobs.zoo.mobilenet import ConvBN, InvertedResidual, Row, divisible

# as published: strides along the height that leave 1 of 32 rows, and no shortcut in the first block, whose
# stride PaddleOCR writes as a pair
_ROWS = (
    Row(3, 16, 16, True, "relu", 1, shortcut=False),
    Row(3, 72, 24, False, "relu", (2, 1)),
    Row(3, 88, 24, False, "relu", 1),
    Row(5, 96, 40, True, "hardswish", (2, 1)),
    Row(5, 240, 40, True, "hardswish", 1),
    Row(5, 240, 40, True, "hardswish", 1),
    Row(5, 120, 48, True, "hardswish", 1),
    Row(5, 144, 48, True, "hardswish", 1),
    Row(5, 288, 96, True, "hardswish", (2, 1)),
    Row(5, 576, 96, True, "hardswish", 1),
    Row(5, 576, 96, True, "hardswish", 1),
)
_LIGHT = (0, 1, 3, 6, 8)  # the rows that change the extent or the width
_STEM, _LAST = 16, 576


class _Backbone(nn.Layer):
    """Images [batch, channels, 32, width] to features [batch, out_channels, 1, width / 4]."""

    def __init__(self, channels: int, scale: float, light: bool) -> None:
        super().__init__()
        inside = divisible(_STEM * scale)
        self.conv1 = ConvBN(channels, inside, 3, 2, "hardswish")
        blocks = []
        for row in [_ROWS[index] for index in _LIGHT] if light else _ROWS:
            out = divisible(scale * row.out)
            blocks.append(InvertedResidual(inside, divisible(scale * row.expanded), out, row))
            inside = out
        self.blocks = nn.Sequential(*blocks)
        self.out_channels = divisible(_LAST * scale)
        self.conv2 = ConvBN(inside, self.out_channels, 1, 1, "hardswish")
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
