"""Small networks that a search for channels may get wrong, each with the layers that must not be cut.

All but a few are a convolution ``a`` (16 channels), something between, a convolution ``b`` and a head ``fc``
on images of 8x8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from secateur_api.spec import DType, InputSpec
from secateur_jobs.paddle_env import paddle

nn, F = paddle.nn, paddle.nn.functional
Tensor = paddle.Tensor

IMAGES = [InputSpec(name="image", shape=[1, 3, 8, 8])]
TOKENS = [InputSpec(name="tokens", shape=[1, 6], dtype=DType.INT64)]


def conv(inputs: int, outputs: int, size: int = 3, **options: Any) -> nn.Layer:
    """Return a convolution that keeps the image's extent."""
    return nn.Conv2D(inputs, outputs, size, padding=size // 2, **options)


class Between(nn.Layer):
    """``fc(mean(relu(b(between(net, relu(a(x)))))))``, with further layers for ``between``."""

    def __init__(
        self, between: Callable[[Any, Tensor], Tensor], into_b: int = 16, **layers: nn.Layer
    ) -> None:
        super().__init__()
        self.a = conv(3, 16)
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.b = conv(into_b, 16)
        self.fc = nn.Linear(16, 5)
        self._between = between

    def forward(self, x: Tensor) -> Tensor:
        x = self._between(self, F.relu(self.a(x)))
        return self.fc(F.relu(self.b(x)).mean([2, 3]))


class LayerScale(Between):
    """A residual branch scaled by a parameter of the network itself, one number per channel."""

    def __init__(self) -> None:
        super().__init__(
            lambda net, x: x + net.gamma * net.h(F.gelu(net.g(x))), g=conv(16, 24), h=conv(24, 16)
        )
        uniform = nn.initializer.Uniform(0.5, 1.5)
        self.gamma = self.create_parameter([16, 1, 1], default_initializer=uniform)


class InputResidual(nn.Layer):
    """What the first convolution gives is added to the image."""

    def __init__(self) -> None:
        super().__init__()
        self.g, self.b, self.fc = conv(3, 3), conv(3, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.b(x + self.g(x))).mean([2, 3]))


class ChannelsLast(nn.Layer):
    """A residual block in NHWC."""

    def __init__(self) -> None:
        super().__init__()
        form = {"data_format": "NHWC"}
        self.a, self.norm, self.b = conv(3, 16, **form), nn.BatchNorm2D(16, **form), conv(16, 16, **form)
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.a(x.transpose([0, 2, 3, 1]))))
        return self.fc((x + F.relu(self.b(x))).mean([1, 2]))


class FusedAttention(nn.Layer):
    """Query, key and value from one layer, the number of heads written into ``forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.qkv, self.out, self.fc = nn.Linear(16, 48), nn.Linear(16, 16), nn.Linear(16, 5)
        self.up, self.down, self.norm = nn.Linear(16, 24), nn.Linear(24, 16), nn.LayerNorm(16)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        batch, length, _ = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape([batch, length, 3, 4, -1]).transpose([2, 0, 3, 1, 4])
        seen = paddle.matmul(F.softmax(paddle.matmul(q, k, transpose_y=True)), v)
        x = x + self.out(seen.transpose([0, 2, 1, 3]).reshape([batch, length, -1]))
        return self.fc((x + self.down(F.gelu(self.up(x)))).mean(1))


class TiedEmbedding(nn.Layer):
    """The embedding's weights are the output layer's, too."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.up, self.down = nn.Embedding(20, 16), nn.Linear(16, 24), nn.Linear(24, 16)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        x = x + self.down(F.relu(self.up(x)))
        return paddle.matmul(x, self.embed.weight, transpose_y=True)


class TrainingHead(Between):
    """A second head that only a training pass runs, as GoogLeNet's."""

    def __init__(self) -> None:
        super().__init__(lambda net, x: x)
        self.extra = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Any:
        y = F.relu(self.a(x))
        main = self.fc(F.relu(self.b(y)).mean([2, 3]))
        return (main, self.extra(y.mean([2, 3]))) if self.training else main


class Branches(Between):
    """Which of two layers runs depends on the data."""

    def __init__(self) -> None:
        super().__init__(Branches.choose, g=conv(16, 16), h=conv(16, 16))

    @staticmethod
    def choose(net: Any, x: Tensor) -> Tensor:
        return net.g(x) if float(x.mean()) > 1e3 else net.h(x)


class RolledChannels(Between):
    """Channels in another order, which a cut does not keep."""

    def __init__(self) -> None:
        super().__init__(lambda net, x: paddle.index_select(x, net.order, axis=1))
        self.order = paddle.to_tensor(np.roll(np.arange(16), 5))


@dataclass(frozen=True)
class Case:
    """A network, and what must be said of it."""

    build: Callable[[], nn.Layer]
    refused: Mapping[str, str] = field(default_factory=dict)
    """Layer that must not be cut, beside the head, to words of the reason; all others must be cut."""
    inputs: list[InputSpec] = field(default_factory=lambda: IMAGES)
    head: str | None = "fc"


def _chunks(net: Any, x: Tensor) -> Tensor:
    """A block as in YOLO: one half goes on as it is, the other through two layers, all are kept."""
    one, two = paddle.chunk(x, 2, 1)
    three = F.relu(net.g(two))
    return paddle.concat([one, three, F.relu(net.h(three))], 1)


class ShuffleUnits(nn.Layer):
    """Two units of ShuffleNet V2, two halves shuffled after each."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.a2 = conv(3, 12), conv(3, 12)
        self.inner, self.depthwise, self.outer = conv(12, 16, 1), conv(16, 16, groups=16), conv(16, 12, 1)
        self.b, self.fc = conv(24, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = F.channel_shuffle(paddle.concat([F.relu(self.a(x)), F.relu(self.a2(x))], 1), 2)
        passed, taken = paddle.split(y, 2, 1)
        taken = F.relu(self.outer(self.depthwise(F.relu(self.inner(taken)))))
        y = F.channel_shuffle(paddle.concat([passed, taken], 1), 2)
        return self.fc(F.relu(self.b(y)).mean([2, 3]))


def _wider(x: Tensor, more: int) -> Tensor:
    batch, _, height, width = x.shape
    return paddle.concat([x, paddle.zeros([batch, more, height, width])], 1)


def _efficient_attention(net: Any, x: Tensor) -> Tensor:
    pooled = x.mean([2, 3]).unsqueeze(1)
    return x * F.sigmoid(net.e(pooled)).transpose([0, 2, 1]).unsqueeze(-1)


def _spatial_attention(net: Any, x: Tensor) -> Tensor:
    pooled = paddle.concat([x.mean(1, keepdim=True), x.max(1, keepdim=True)], 1)
    return x * F.sigmoid(net.g(pooled))


def _in_place(net: Any, x: Tensor) -> Tensor:
    y = net.g(x)
    F.relu_(y)
    return F.relu_(y + x)


MIXES = "all its channels mix before"
POSITION = "its channels go by position"
OUTPUT = "model's output"
CASES: dict[str, Case] = {
    # channels that go together in unusual ways: all can be cut
    "glu": Case(lambda: Between(lambda net, x: F.glu(net.g(x), 1), g=conv(16, 32))),
    "maxout": Case(lambda: Between(lambda net, x: F.maxout(net.g(x), 2), g=conv(16, 32))),
    "pixel shuffle": Case(lambda: Between(lambda net, x: F.pixel_shuffle(net.g(x), 2), g=conv(16, 64))),
    "concat with itself": Case(
        lambda: Between(lambda net, x: net.g(paddle.concat([x, x], 1)), g=conv(32, 16))
    ),
    "in place": Case(lambda: Between(_in_place, g=conv(16, 16))),
    "channels last": Case(ChannelsLast),
    "depthwise with a multiplier": Case(
        lambda: Between(
            lambda net, x: net.h(F.relu(net.norm(net.g(x)))),
            g=conv(16, 32, groups=16),
            norm=nn.BatchNorm2D(32),
            h=conv(32, 16),
        )
    ),
    "two conv groups in a residual": Case(
        lambda: Between(lambda net, x: F.relu(net.g(x)) + x, g=conv(16, 16, groups=2))
    ),
    "transposed convolution in groups": Case(
        lambda: Between(lambda net, x: net.g(x), g=nn.Conv2DTranspose(16, 16, 2, stride=2, groups=4))
    ),
    "shared layer": Case(lambda: Between(lambda net, x: net.g(F.relu(net.g(x))), g=conv(16, 16))),
    "layer scale": Case(LayerScale),
    "gate on each channel": Case(
        lambda: Between(lambda net, x: x * (x.mean([2, 3], keepdim=True) > 0.2).astype("float32"))
    ),
    "one mask for all channels": Case(
        lambda: Between(lambda net, x: x * F.sigmoid(net.g(x)), g=conv(16, 1)),
        {"g": "it has one output channel"},
    ),
    "branch on data": Case(Branches, {"g": "forward does not use it"}),
    # positions: what goes where depends on the number of channels
    "slice at a fixed number": Case(
        lambda: Between(
            lambda net, x: paddle.concat([net.g(x[:, :6]), net.h(x[:, 6:])], 1), g=conv(6, 8), h=conv(10, 8)
        )
    ),
    "chunks to different layers": Case(lambda: Between(_chunks, 24, g=conv(8, 8), h=conv(8, 8))),
    "shuffle units": Case(ShuffleUnits),
    "shuffle into a grouped convolution": Case(
        lambda: Between(lambda net, x: net.g(F.channel_shuffle(x, 2)), g=conv(16, 16, groups=2)),
        {"a": "broken without warning when cut"},
    ),
    "constant channels behind": Case(
        lambda: Between(
            lambda net, x: net.h(F.relu(net.g(x) + _wider(x, 8))), g=conv(16, 24), h=conv(24, 16)
        ),
        {"a": POSITION, "g": POSITION},
    ),
    # channels whose values depend on others': none can go alone
    "softmax over channels": Case(lambda: Between(lambda net, x: F.softmax(x, 1)), {"a": MIXES}),
    "norm over channels": Case(lambda: Between(lambda net, x: F.normalize(x, axis=1)), {"a": MIXES}),
    "attention over neighbouring channels": Case(
        lambda: Between(_efficient_attention, e=nn.Conv1D(1, 1, 3, padding=1)),
        {"a": MIXES, "e": "one output channel"},
    ),
    "attention over pooled channels": Case(
        lambda: Between(_spatial_attention, g=conv(2, 1, 7)), {"a": MIXES, "g": "one output channel"}
    ),
    # widths that are written elsewhere
    "hard-wired reshape": Case(
        lambda: Between(lambda net, x: x.reshape([0, 16, 8, 8])), {"a": "fails when cut"}
    ),
    "fixed order of channels": Case(RolledChannels, {"a": "fails when cut"}),
    "image in a residual": Case(InputResidual, {"g": "meet the model's input"}),
    "fused attention": Case(
        FusedAttention,
        {"qkv": "broken without warning when cut"},
        TOKENS,
    ),
    "tied embedding": Case(TiedEmbedding, {"down": OUTPUT, "embed": OUTPUT}, TOKENS, head=None),
    # what one pass does not show
    "head of training passes": Case(TrainingHead, {"extra": OUTPUT}),
    "gate that never opens": Case(
        lambda: Between(lambda net, x: x + F.relu(net.g(x) - 1000), g=conv(16, 16)),
        {"a": "fails when cut", "g": "no layer is seen to depend on its channels"},
    ),
    "dropout left on": Case(
        lambda: Between(lambda net, x: F.dropout(x, 0.5, training=True)), {"a": "off by", "b": "off by"}
    ),
}
