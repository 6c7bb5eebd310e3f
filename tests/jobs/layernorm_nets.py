"""Small networks whose channels layer normalisations take mean and variance over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from secateur_api.spec import DType, InputSpec
from secateur_jobs.paddle_env import paddle

nn, F = paddle.nn, paddle.nn.functional
TOKENS = [InputSpec(name="tokens", shape=[1, 6], dtype=DType.INT64)]
IMAGES = [InputSpec(name="image", shape=[1, 3, 16, 16])]
VECTORS = [InputSpec(name="x", shape=[1, 4])]
WIDTH = 12


class PreNorm(nn.Layer):
    """A vision transformer: patches, a class token and places of its own, norms before each branch."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2D(3, WIDTH, 8, stride=8)
        normal = nn.initializer.Normal()
        self.token = self.create_parameter([1, 1, WIDTH], default_initializer=normal)
        self.places = self.create_parameter([1, 5, WIDTH], default_initializer=normal)
        layer = nn.TransformerEncoderLayer(WIDTH, 3, 20, dropout=0.1, normalize_before=True)
        self.encoder = nn.TransformerEncoder(layer, 1, nn.LayerNorm(WIDTH, bias_attr=False))
        self.fc = nn.Linear(WIDTH, 5)

    def forward(self, image: Any) -> Any:
        x = self.patches(image).flatten(2).transpose([0, 2, 1])
        x = paddle.concat([self.token.expand([x.shape[0], 1, -1]), x], 1) + self.places
        return self.fc(self.encoder(x)[:, 0])


class ConvNeXt(nn.Layer):
    """A depthwise convolution, a norm without parameters and two layers, channels last; a scaled branch."""

    def __init__(self, norm: nn.Layer | None = None) -> None:
        super().__init__()
        self.stem, self.spread = (
            nn.Conv2D(3, WIDTH, 4, stride=4),
            nn.Conv2D(WIDTH, WIDTH, 3, padding=1, groups=WIDTH),
        )
        self.norm = norm or nn.LayerNorm(WIDTH, weight_attr=False, bias_attr=False)
        self.up, self.down, self.fc = nn.Linear(WIDTH, 20), nn.Linear(20, WIDTH), nn.Linear(WIDTH, 5)
        self.scale = self.create_parameter([WIDTH], default_initializer=nn.initializer.Uniform(0.5, 1.5))

    def forward(self, image: Any) -> Any:
        x = self.stem(image)
        y = self.norm(self.spread(x).transpose([0, 2, 3, 1]))
        y = self.scale * self.down(F.gelu(self.up(y)))
        return self.fc((x + y.transpose([0, 3, 1, 2])).mean([2, 3]))


class PostNorm(nn.Layer):
    """An encoder as BERT's: embeddings, one layer with norms behind each branch, a pooler."""

    def __init__(self, reshaped: bool = False) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(20, WIDTH), nn.Embedding(8, WIDTH)
        self.first = nn.LayerNorm(WIDTH)
        self.encoder = nn.TransformerEncoderLayer(WIDTH, 3, 20, dropout=0.1, activation="gelu")
        self.pooler, self.fc = nn.Linear(WIDTH, 10), nn.Linear(10, 5)
        self.reshaped = reshaped

    def forward(self, tokens: Any) -> Any:
        x = self.words(tokens) + self.places(paddle.arange(tokens.shape[1]).unsqueeze(0))
        if self.reshaped:
            x = x.reshape([-1, tokens.shape[1], WIDTH])
        return self.fc(paddle.tanh(self.pooler(self.encoder(self.first(x))[:, 0])))


class TwoSources(nn.Layer):
    """One norm over the channels of two layers that go independently."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm = nn.Linear(4, 6), nn.Linear(4, 8), nn.LayerNorm(14)
        self.fc = nn.Linear(14, 5)

    def forward(self, x: Any) -> Any:
        return self.fc(F.relu(self.norm(paddle.concat([self.a(x), self.b(x)], -1))))


class Gated(nn.Layer):
    """One half of a layer's channels, normalised, is the gate of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm, self.fc = nn.Linear(4, 2 * WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 5)

    def forward(self, x: Any) -> Any:
        one, other = paddle.chunk(self.up(x), 2, -1)
        return self.fc(one * self.norm(other))


class PatchMerging(nn.Layer):
    """Swin's step to half the extent: a norm over the channels of four neighbours side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2D(3, WIDTH, 4, stride=4), nn.LayerNorm(4 * WIDTH)
        self.reduce, self.last, self.fc = nn.Linear(4 * WIDTH, 16), nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, image: Any) -> Any:
        x = self.stem(image).transpose([0, 2, 3, 1])
        x = paddle.concat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)
        return self.fc(self.last(self.reduce(self.norm(x))).mean([1, 2]))


class OtherVariance(nn.LayerNorm):
    """Divides by one less than there are channels."""

    def forward(self, x: Any) -> Any:
        x = x - x.mean(-1, keepdim=True)
        variance = x.square().sum(-1, keepdim=True) / (x.shape[-1] - 1)
        return x * paddle.rsqrt(variance + self._epsilon) * self.weight + self.bias


Q, K, V = (f"encoder.self_attn.{name}_proj" for name in "qkv")
NETS: dict[str, tuple[Callable[[], nn.Layer], list[InputSpec], dict[str, tuple[int, tuple[str, ...]]]]] = {
    "norms behind branches": (
        PostNorm,
        TOKENS,
        {
            "words": (WIDTH, ("first", "encoder.norm1", "encoder.norm2")),
            Q: (3, ()),
            "encoder.linear1": (20, ()),
            "pooler": (10, ()),
        },
    ),
    "norms before branches": (
        PreNorm,
        IMAGES,
        {
            "patches": (WIDTH, ("encoder.layers.0.norm1", "encoder.layers.0.norm2", "encoder.norm")),
            "encoder.layers.0.self_attn.q_proj": (3, ()),
            "encoder.layers.0.linear1": (20, ()),
        },
    ),
    "convolutions": (ConvNeXt, IMAGES, {"stem": (WIDTH, ("norm",)), "up": (20, ())}),
    "a gate": (Gated, VECTORS, {"up": (WIDTH, ("norm",))}),
    "patch merging": (PatchMerging, IMAGES, {"stem": (WIDTH, ("norm",)), "reduce": (16, ("last",))}),
    "two sources": (TwoSources, VECTORS, {"a": (6, ("norm",)), "b": (8, ("norm",))}),
}
