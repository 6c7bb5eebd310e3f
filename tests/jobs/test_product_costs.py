"""Predicted MACs of nets whose attention shrinks with the cut equal those that are counted after it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from secateur_api.spec import DType, InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.cost_of_net import cost_models
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.zoo.ernie import ernie_classifier

pytestmark = pytest.mark.paddle
nn = paddle.nn
IDS = [InputSpec(name="ids", shape=[1, 12], dtype=DType.INT64)]
ROWS = [InputSpec(name="x", shape=[1, 7, 5])]


class Attention(nn.Layer):
    """Heads of its own making: three of four channels."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(5, 12), nn.Linear(5, 12), nn.Linear(5, 12)
        self.out, self.head = nn.Linear(12, 6), nn.Linear(6, 3)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        q, k, v = (f(x).reshape([0, 0, -1, 4]).transpose([0, 2, 1, 3]) for f in (self.q, self.k, self.v))
        scores = nn.functional.softmax(paddle.einsum("bhqc,bhkc->bhqk", q, k))
        mixed = (scores @ v).transpose([0, 2, 1, 3]).flatten(2)
        return self.head(nn.functional.relu(self.out(mixed)).mean(1))


def _encoder() -> nn.Layer:
    return ernie_classifier(3, 30, hidden=16, layers=2, heads=4, ffn=24, positions=16, tasks=0)


@pytest.mark.parametrize(
    ("make", "inputs", "products"),
    [(_encoder, IDS, 4), (Attention, ROWS, 2)],
    ids=["heads", "own attention"],
)
def test_predicted_macs_are_those_counted_after_the_cut(
    make: Callable[[], nn.Layer], inputs: list[InputSpec], products: int
) -> None:
    seed_everything(0)
    net = make()
    net.eval()
    engine, counts = NativeEngine(net, inputs), count(net, inputs)
    assert len(counts.products) == products
    before = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    costs = cost_models(engine, engine.groups, counts, 1, inputs)["macs"]
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name])
    assert costs.total({}) == pytest.approx(counts.macs, abs=0.5)
    random = np.random.default_rng(1)
    widths = {g.name: max(1, int(g.channels * random.uniform(0.2, 0.8))) for g in engine.groups}
    keep = {g.name: g.choose(random.random(g.channels), widths[g.name]) for g in engine.groups}
    engine.cut(keep)
    cut = count(net, inputs)
    assert all(after < whole for after, whole in zip(cut.products, counts.products, strict=True))
    predicted = costs.total({name: float(kept.mean()) for name, kept in keep.items()})
    assert predicted == pytest.approx(cut.macs, abs=0.5)
