"""Each operator that the graph knows gives what Paddle's own program gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from secateur_jobs.graph.files import TOLERANCE, NotRebuilt, rebuild
from secateur_jobs.paddle_env import paddle

pytestmark = pytest.mark.paddle
nn, F = paddle.nn, paddle.nn.functional
Tensor = paddle.Tensor

POINTWISE: list[Callable[[Tensor], Tensor]] = [
    paddle.floor,
    paddle.ceil,
    paddle.round,
    paddle.sign,
    paddle.sin,
    paddle.cos,
    F.elu,
    F.selu,
    F.celu,
    F.softsign,
    F.tanhshrink,
    F.hardtanh,
    F.log_sigmoid,
    lambda x: (x * x + 1).reciprocal(),
    lambda x: 1 / (x * x + 1),
    lambda x: paddle.where((x > 0) & (x < 1) | ~(x > -1), x, x * 2),
    lambda x: x * (x >= 0).astype("float32") + (x <= 0.5).astype("float32"),
]
REDUCING: list[Callable[[Tensor], Tensor]] = [
    lambda x: paddle.argmax(x, 1),
    lambda x: paddle.topk(x.flatten(1), 3)[0],
    lambda x: x.norm(2, 1, keepdim=True),
    lambda x: F.normalize(x, axis=1),
    lambda x: F.log_softmax(x, 1),
    lambda x: paddle.logsumexp(x, 1),
    lambda x: paddle.cumsum(x, 1),
    lambda x: paddle.prod(x, 1),
    lambda x: x * paddle.any(x > 0, 1, keepdim=True).astype("float32"),
    lambda x: x.std(1),
    lambda x: x.mean(1, keepdim=True).expand_as(x),
    lambda x: F.one_hot(paddle.argmax(x, 1), 8),
]
ARRANGING: list[Callable[[Tensor], Tensor]] = [
    lambda x: x.tile([1, 1, 2, 1]),
    lambda x: F.pad(x, [1, 2, 0, 1]),
    lambda x: F.pad(x, [1, 1, 1, 1], mode="reflect"),
    lambda x: F.pad(x.flatten(2), [0, 0, 0, 0, 1, 1]),
    lambda x: F.pixel_shuffle(x, 2),
    lambda x: F.pixel_unshuffle(x, 2),
    lambda x: paddle.unbind(x, 1)[2],
    lambda x: paddle.flip(x, [2]),
    paddle.tril,
    lambda x: F.unfold(x, 3),
    lambda x: x * paddle.arange(8, dtype="float32").reshape([1, 8, 1, 1]),
    lambda x: paddle.gather_nd(x.transpose([1, 0, 2, 3]), paddle.to_tensor([[0], [2]])).sum(0),
    lambda x: paddle.bmm(x.flatten(2), x.flatten(2).transpose([0, 2, 1])),
    lambda x: paddle.einsum("nchw,ndhw->ncd", x, x),
    lambda x: x[:, :, ::2, 1::2],
]


class Net(nn.Layer):
    """A convolution, and what functions or a layer make of its channels."""

    def __init__(self, then: list[Callable[[Tensor], Tensor]], layer: nn.Layer | None = None) -> None:
        super().__init__()
        self.convolution, self.then, self.layer = nn.Conv2D(3, 8, 3), then, layer

    def forward(self, image):
        x = self.convolution(image)
        return [one(x) for one in self.then] if self.layer is None else self.layer(x)


class Sequence(nn.Layer):
    """Rows of a map as the steps of a recurrent layer."""

    def __init__(self, kind: type[nn.Layer], direction: str, layers: int) -> None:
        super().__init__()
        self.recurrent = kind(48, 5, layers, direction)

    def forward(self, x):
        return self.recurrent(x.transpose([0, 2, 1, 3]).flatten(2))[0]


class Added(nn.Layer):
    """A narrower map added to the first channels of a wide one."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2D(8, 4, 1)

    def forward(self, x):
        x[:, :4] = x[:, :4] + self.narrow(x)
        return x


def difference(net: nn.Layer, folder: Path) -> float:
    net.eval()
    spec = paddle.static.InputSpec([None, 3, 8, 8], "float32", "image")
    with paddle.utils.unique_name.guard():
        paddle.jit.save(net, str(folder / "inference"), input_spec=[spec])
    return rebuild(folder / "inference.pdmodel", [[1, 3, 8, 8]], folder / "scratch")[1]


@pytest.mark.parametrize("then", [POINTWISE, REDUCING, ARRANGING], ids=["pointwise", "reducing", "arranging"])
def test_a_function_is_rebuilt(then, tmp_path):
    assert difference(Net(then), tmp_path) <= TOLERANCE


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.InstanceNorm2D(8),
        lambda: nn.PReLU(8),
        lambda: Sequence(nn.LSTM, "forward", 2),
        lambda: Sequence(nn.LSTM, "bidirect", 1),
        lambda: Sequence(nn.GRU, "bidirect", 2),
        Added,
    ],
    ids=["instance norm", "prelu", "two LSTMs", "BiLSTM", "two BiGRUs", "a part that is set"],
)
def test_a_layer_is_rebuilt(make, tmp_path):
    assert difference(Net([], make()), tmp_path) <= TOLERANCE


def test_a_cell_that_is_not_known_is_refused_by_name(tmp_path):
    with pytest.raises(NotRebuilt, match="operator rnn"):
        difference(Net([], Sequence(nn.SimpleRNN, "forward", 1)), tmp_path)
