"""MACs against numbers worked out by hand and totals known from the literature."""

from __future__ import annotations

import pytest

from secateur_api.spec import DType, InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.macs import count

pytestmark = pytest.mark.paddle
nn = paddle.nn


def image(*shape: int) -> list[InputSpec]:
    return [InputSpec(name="x", shape=list(shape))]


class Calls(nn.Layer):
    """A net that is one function."""

    def __init__(self, function, *layers) -> None:
        super().__init__()
        self.layers = nn.LayerList(layers)
        self.function = function

    def forward(self, *inputs):
        return self.function(*self.layers, *inputs)


def test_known_totals_of_the_literature():
    assert count(paddle.vision.models.mobilenet_v1(), image(1, 3, 224, 224)).macs == 568_740_352
    assert count(paddle.vision.models.resnet50(), image(1, 3, 224, 224)).macs == pytest.approx(
        4.09e9, rel=0.005
    )


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv2D(3, 8, 3, padding=1), (1, 3, 10, 10), 8 * 10 * 10 * 3 * 9),
        (nn.Conv2D(8, 16, 3, stride=2, groups=4), (1, 8, 9, 9), 16 * 4 * 4 * (8 // 4) * 9),
        (nn.Conv2D(8, 8, 3, padding=1, groups=8), (1, 8, 5, 5), 8 * 25 * 9),
        (nn.Conv1D(4, 6, 5), (1, 4, 20), 6 * 16 * 4 * 5),
        (nn.Conv2DTranspose(4, 6, 2, stride=2), (1, 4, 5, 5), 4 * 25 * 6 * 4),
        (nn.Linear(12, 5), (1, 7, 12), 7 * 12 * 5),
        (nn.Linear(12, 5), (3, 12), 3 * 12 * 5),
        (nn.LSTM(6, 8, num_layers=2, direction="bidirect"), (1, 10, 6), 10 * 2 * 32 * ((6 + 8) + (16 + 8))),
        (nn.GRU(6, 8), (2, 10, 6), 2 * 10 * 24 * (6 + 8)),
    ],
)
def test_layers(layer, shape, macs):
    counts = count(Calls(lambda inner, x: inner(x), layer), image(*shape))
    assert counts.macs == macs
    assert counts.layers == {"layers.0": macs}


@pytest.mark.parametrize(
    ("function", "shape", "macs"),
    [
        (lambda x: paddle.matmul(x, x, transpose_y=True), (2, 3, 5, 7), 2 * 3 * 5 * 5 * 7),
        (lambda x: paddle.matmul(x, x, transpose_x=True), (2, 3, 5, 7), 2 * 3 * 7 * 7 * 5),
        (lambda x: x @ x.transpose([0, 2, 1]), (2, 5, 7), 2 * 5 * 5 * 7),
        (lambda x: paddle.bmm(x, x), (3, 4, 4), 3 * 64),
        (lambda x: paddle.einsum("bij,bkj->bik", x, x), (3, 4, 5), 3 * 4 * 4 * 5),
        (lambda x: paddle.einsum("...ij,...jk->...ik", x, x), (3, 2, 4, 4), 3 * 2 * 64),
        (lambda x: nn.functional.linear(x, paddle.ones([4, 9])), (3, 4), 3 * 4 * 9),
        (lambda x: nn.functional.conv2d(x, paddle.ones([5, 4, 3, 3])), (1, 4, 6, 6), 5 * 16 * 36),
    ],
)
def test_products_outside_layers(function, shape, macs):
    counts = count(Calls(function), image(*shape))
    assert counts.macs == macs
    assert counts.layers == {}


def test_attention():
    length, width = 6, 8
    counts = count(Calls(lambda block, x: block(x), nn.MultiHeadAttention(width, 2)), image(1, length, width))
    projections = 4 * length * width * width
    products = 2 * length * length * width
    assert counts.macs == projections + products
    assert sum(counts.layers.values()) == projections


def test_a_layer_that_runs_twice_counts_twice_and_ids_are_taken():
    layer = nn.Linear(4, 4)
    counts = count(Calls(lambda inner, x: inner(inner(x)), layer), image(1, 4))
    assert counts.macs == 32
    assert counts.params == 20
    ids = [InputSpec(name="ids", shape=[1, 5], dtype=DType.INT64)]
    net = Calls(lambda embed, head, x: head(embed(x)), nn.Embedding(10, 4), nn.Linear(4, 2))
    assert count(net, ids).macs == 5 * 4 * 2


def test_the_net_is_left_as_it_was_even_after_an_error():
    net = nn.Sequential(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4))
    net.train()
    matmul = paddle.matmul
    count(net, image(1, 3, 8, 8))
    with pytest.raises(Exception, match="shape"):
        count(net, image(1, 5, 8, 8))
    assert net.training
    assert paddle.matmul is matmul
    assert all(not layer._forward_pre_hooks for layer in net)


def test_a_part_that_is_frozen_stays_so():
    net = nn.Sequential(nn.Conv2D(1, 4, 3), nn.BatchNorm2D(4), nn.ReLU())
    net.train()
    net[1].eval()
    count(net, image(1, 1, 8, 8))
    assert [layer.training for layer in net] == [True, False, True]
