"""A text classifier on ERNIE's encoder, with the parameter names and shapes of PaddleNLP.

Sun et al., "ERNIE 3.0", 2021, and the distilled sizes of PaddleNLP (nano to base). Weights saved from its
``ErnieForSequenceClassification`` (``model_state.pdparams``) load as they are.
"""

from __future__ import annotations

from secateur_jobs.paddle_env import nn, paddle

PAD = 0
_MASKED = -1e4
_EPSILON = 1e-12


class _Embeddings(nn.Layer):
    """Token ids [batch, length] to vectors [batch, length, hidden]: word, position, segment 0, task 0."""

    def __init__(
        self, vocab_size: int, hidden: int, positions: int, segments: int, tasks: int, dropout: float
    ) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab_size, hidden, padding_idx=PAD)
        self.position_embeddings = nn.Embedding(positions, hidden)
        self.token_type_embeddings = nn.Embedding(segments, hidden)
        self.task_type_embeddings = nn.Embedding(tasks, hidden) if tasks else None
        self.layer_norm = nn.LayerNorm(hidden, epsilon=_EPSILON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        length = ids.shape[1]
        first = paddle.zeros([1, length], "int64")
        vectors = self.word_embeddings(ids)
        vectors = vectors + self.position_embeddings(paddle.arange(length, dtype="int64").unsqueeze(0))
        vectors = vectors + self.token_type_embeddings(first)
        if self.task_type_embeddings is not None:
            vectors = vectors + self.task_type_embeddings(first)
        return self.dropout(self.layer_norm(vectors))


class _Pooler(nn.Layer):
    """The vector of the first token, through a layer with tanh."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, hidden)

    def forward(self, states: paddle.Tensor) -> paddle.Tensor:
        return paddle.tanh(self.dense(states[:, 0]))


class _Ernie(nn.Layer):
    """Token ids [batch, length] to one vector [batch, hidden]; padding is not attended to."""

    def __init__(
        self,
        embeddings: _Embeddings,
        hidden: int,
        layers: int,
        heads: int,
        ffn: int,
        act: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embeddings = embeddings
        layer = nn.TransformerEncoderLayer(
            hidden, heads, ffn, dropout=dropout, activation=act, act_dropout=0.0
        )
        self.encoder = nn.TransformerEncoder(layer, layers)
        for part in self.encoder.sublayers():
            if isinstance(part, nn.LayerNorm):
                part._epsilon = _EPSILON
        self.pooler = _Pooler(hidden)

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        mask = (ids == PAD).astype("float32").unsqueeze([1, 2]) * _MASKED
        return self.pooler(self.encoder(self.embeddings(ids), mask))


class ErnieClassifier(nn.Layer):
    """Token ids int64 [batch, length], 0 for padding, to scores [batch, classes]."""

    def __init__(self, ernie: _Ernie, hidden: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.ernie = ernie
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden, num_classes)

    def forward(self, ids: paddle.Tensor) -> paddle.Tensor:
        return self.classifier(self.dropout(self.ernie(ids)))


def ernie_classifier(
    num_classes: int = 2,
    vocab_size: int = 40000,
    hidden: int = 312,
    layers: int = 4,
    heads: int = 12,
    ffn: int = 1248,
    act: str = "gelu",
    positions: int = 2048,
    segments: int = 4,
    tasks: int = 16,
    dropout: float = 0.1,
    initializer_range: float = 0.02,
) -> ErnieClassifier:
    """Return the classifier; the defaults are ``ernie-3.0-nano-zh``.

    ``positions`` is the longest text that the weights know, ``segments`` and ``tasks`` (0 for ERNIE 1 and 2)
    the sizes of two further embeddings, of which entry 0 is used. ``initializer_range`` is the standard
    deviation that untrained weights start from; 0.02 suits widths of 768, narrow nets learn faster from more.

    Raises ValueError if ``hidden`` is no multiple of ``heads`` or ``act`` is no activation of Paddle.
    """
    if hidden % heads:
        raise ValueError(f"hidden {hidden} is no multiple of heads {heads}")
    if not hasattr(nn.functional, act):
        raise ValueError(f"act: paddle.nn.functional has no {act!r}; ERNIE uses gelu or relu")
    embeddings = _Embeddings(vocab_size, hidden, positions, segments, tasks, dropout)
    ernie = _Ernie(embeddings, hidden, layers, heads, ffn, act, dropout)
    net = ErnieClassifier(ernie, hidden, num_classes, dropout)
    _initialise(net, initializer_range)
    return net


def _initialise(net: ErnieClassifier, deviation: float) -> None:
    """Draw the weights of linear layers and embeddings from a normal distribution, as PaddleNLP does."""
    for layer in net.sublayers():
        if isinstance(layer, (nn.Linear, nn.Embedding)):
            layer.weight.set_value(paddle.normal(0.0, deviation, layer.weight.shape))
            if isinstance(layer, nn.Linear):
                layer.bias.set_value(paddle.zeros(layer.bias.shape))
