"""A small network of each structure whose channels go together in a way of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from secateur_api.spec import DType, InputSpec
from secateur_jobs.paddle_env import paddle

nn, F = paddle.nn, paddle.nn.functional
Tensor = paddle.Tensor

IMAGES = [InputSpec(name="image", shape=[1, 3, 16, 16])]
LINES = [InputSpec(name="line", shape=[1, 3, 16, 32])]
TOKENS = [InputSpec(name="tokens", shape=[1, 6], dtype=DType.INT64)]


def block(inputs: int, outputs: int, stride: int = 1, groups: int = 1) -> nn.Layer:
    """Return convolution, batch normalisation, ReLU."""
    convolution = nn.Conv2D(inputs, outputs, 3, stride=stride, padding=1, groups=groups, bias_attr=False)
    return nn.Sequential(convolution, nn.BatchNorm2D(outputs), nn.ReLU())


class TextLines(nn.Layer):
    """A CRNN: convolutions, then a bidirectional LSTM of two layers along the line."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(block(3, 8, 2), block(8, 16, 2))
        self.rnn = nn.LSTM(16, 12, num_layers=2, direction="bidirect")
        self.fc = nn.Linear(24, 7)

    def forward(self, line: Tensor) -> Tensor:
        columns = self.features(line).mean(axis=2).transpose([0, 2, 1])
        return self.fc(self.rnn(columns)[0])


class Recurrent(nn.Layer):
    """An embedding, a bidirectional GRU and a plain LSTM, whose last state is used as well."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 12)
        self.first = nn.GRU(12, 8, direction="bidirect")
        self.second = nn.LSTM(16, 10)
        self.fc = nn.Linear(20, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        outputs, (last, _) = self.second(self.first(self.embed(tokens))[0])
        return self.fc(paddle.concat([outputs[:, -1], last[0]], -1))


class Encoder(nn.Layer):
    """Two layers of a transformer encoder with four heads, and a classifier with a hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 4, 24, dropout=0.1, activation="gelu"), 2
        )
        self.hidden, self.fc = nn.Linear(16, 12), nn.Linear(12, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc(F.relu(self.hidden(self.encoder(self.embed(tokens)).mean(axis=1))))


class NormGroups(nn.Layer):
    """A pre-activation residual block with group normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2D(3, 16, 3, stride=2, padding=1)
        self.norm1, self.conv1 = nn.GroupNorm(4, 16), nn.Conv2D(16, 24, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(6, 24), nn.Conv2D(24, 16, 3, padding=1)
        self.fc = nn.Linear(16, 5)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        x = x + self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return self.fc(F.relu(x).mean([2, 3]))


class ConvGroups(nn.Layer):
    """Grouped convolutions: many narrow groups (a group goes whole), and two wide ones (they stay two)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.narrow = block(3, 16, 2), block(16, 16, groups=8)
        self.wide, self.last = block(16, 16, groups=2), block(16, 12)
        self.fc = nn.Linear(12, 5)

    def forward(self, image: Tensor) -> Tensor:
        return self.fc(self.last(self.wide(self.narrow(self.stem(image)))).mean([2, 3]))


class UNet(nn.Layer):
    """Concatenation across, transposed convolution, interpolation, slopes and statistics per channel."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2D(3, 8, 3, padding=1), nn.InstanceNorm2D(8), nn.PReLU(8))
        self.down2, self.middle = block(8, 12), block(12, 16)
        self.up2, self.join2 = nn.Conv2DTranspose(16, 12, 2, stride=2), block(24, 12)
        self.join1, self.out = block(20, 8), nn.Conv2D(8, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        one = self.down1(image)
        two = self.down2(F.max_pool2d(one, 2))
        x = self.join2(paddle.concat([self.up2(self.middle(F.avg_pool2d(two, 2))), two], 1))
        x = F.interpolate(x, scale_factor=2, mode="bilinear")
        return self.out(self.join1(paddle.concat([x, one], 1)))


@dataclass(frozen=True)
class Structure:
    """How to build a network, and what it takes."""

    build: Callable[[], nn.Layer]
    inputs: list[InputSpec]
    head: str = "fc"
    """The layer whose outputs are the model's."""

    @property
    def factory(self) -> str:
        """What a spec calls it."""
        return f"{self.build.__module__}:{self.build.__name__}"


STRUCTURES: dict[str, Structure] = {
    "crnn": Structure(TextLines, LINES),
    "recurrent": Structure(Recurrent, TOKENS),
    "encoder": Structure(Encoder, TOKENS),
    "group norm": Structure(NormGroups, IMAGES),
    "conv groups": Structure(ConvGroups, IMAGES),
    "u-net": Structure(UNet, IMAGES, head="out"),
}
