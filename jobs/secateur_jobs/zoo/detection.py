"""A text detector in the manner of DB: MobileNetV3, a feature pyramid and a map of probabilities.

Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", 2020; the head is the part
that is left for inference.
"""

from __future__ import annotations

from secateur_jobs.paddle_env import nn, paddle
from secateur_jobs.zoo.mobilenet import ConvBN, InvertedResidual, Row, divisible

F = nn.functional

# one block for each halving of the image, after the stem's
_STAGES = (
    Row(3, 16, 16, True, "relu", 2),
    Row(3, 72, 24, False, "relu", 2),
    Row(5, 96, 40, True, "hardswish", 2),
    Row(5, 288, 96, True, "hardswish", 2),
)


class _Pyramid(nn.Layer):
    """Feature maps of 1/4 .. 1/32 to one of 1/4: each adds the coarser one, and all are concatenated."""

    def __init__(self, widths: list[int], width: int) -> None:
        super().__init__()
        self.lateral = nn.LayerList([nn.Conv2D(inside, width, 1, bias_attr=False) for inside in widths])
        self.smooth = nn.LayerList(
            [nn.Conv2D(width, width // 4, 3, padding=1, bias_attr=False) for _ in widths]
        )

    def forward(self, maps: list[paddle.Tensor]) -> paddle.Tensor:
        merged = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        for finer in reversed(range(len(merged) - 1)):
            merged[finer] = merged[finer] + F.interpolate(merged[finer + 1], scale_factor=2, mode="nearest")
        smooth = [conv(x) for conv, x in zip(self.smooth, merged, strict=True)]
        # the coarsest first, as DB has it
        return paddle.concat(
            [
                x if level == 0 else F.interpolate(x, scale_factor=2**level, mode="nearest")
                for level, x in reversed(list(enumerate(smooth)))
            ],
            axis=1,
        )


class _Head(nn.Layer):
    """Features of 1/4 to probabilities at full size, by two transposed convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width // 4
        self.conv1 = ConvBN(width, inner, 3, 1, "relu")
        self.conv2 = nn.Conv2DTranspose(inner, inner, 2, stride=2)
        self.bn2 = nn.BatchNorm2D(inner)
        self.conv3 = nn.Conv2DTranspose(inner, 1, 2, stride=2)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = F.relu(self.bn2(self.conv2(self.conv1(x))))
        return F.sigmoid(self.conv3(x))


class DBNet(nn.Layer):
    """Images [batch, channels, H, W], H and W multiples of 32, to probabilities [batch, 1, H, W]."""

    def __init__(self, channels: int, scale: float, width: int) -> None:
        super().__init__()
        inside = divisible(16 * scale)
        self.stem = ConvBN(channels, inside, 3, 2, "hardswish")
        stages, widths = [], []
        for row in _STAGES:
            out = divisible(row.out * scale)
            stages.append(InvertedResidual(inside, divisible(row.expanded * scale), out, row))
            widths.append(out)
            inside = out
        self.stages = nn.LayerList(stages)
        self.neck = _Pyramid(widths, width)
        self.head = _Head(width)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return self.head(self.neck(maps))


def db_mobile(channels: int = 3, scale: float = 0.5, width: int = 96) -> DBNet:
    """Return the detector; ``scale`` multiplies the backbone's widths, ``width`` is the pyramid's.

    Raises ValueError if ``width`` is no multiple of 16, or a value is not above 0.
    """
    if scale <= 0 or channels < 1 or width < 16 or width % 16:
        raise ValueError(f"scale {scale:g} and channels {channels} must be above 0, width {width} n x 16")
    return DBNet(channels, scale, width)


def db_loss(output: paddle.Tensor, label: paddle.Tensor) -> paddle.Tensor:
    """Return binary cross-entropy plus the Dice loss of the map, a scalar (Milletari et al. 2016)."""
    wanted = label.reshape(output.shape).astype(output.dtype)
    overlap = 2 * (output * wanted).sum() / (output.sum() + wanted.sum() + 1e-6)
    return F.binary_cross_entropy(output, wanted) + 1 - overlap
