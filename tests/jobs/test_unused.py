"""Layers that inference never runs are refused with that reason, and are in no count that a target reads."""

from __future__ import annotations

import numpy as np
import pytest

from secateur_api.spec import InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import proof
from secateur_jobs.pruning.cost_of_net import cost_models
from secateur_jobs.pruning.macs import count
from secateur_jobs.pruning.native.engine import NativeEngine

pytestmark = pytest.mark.paddle
nn, F = paddle.nn, paddle.nn.functional
IMAGE = [InputSpec(name="image", shape=[1, 3, 8, 8])]


class Left(nn.Layer):
    """An old head that nothing calls, one that only training runs, and a weight read around its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2D(3, 8, 3, padding=1), nn.Conv2D(8, 12, 3, padding=1)
        self.old, self.auxiliary, self.more = nn.Linear(12, 100), nn.Conv2D(8, 6, 1), nn.Linear(6, 4)
        self.around, self.fc = nn.Linear(12, 12), nn.Linear(12, 4)

    def forward(self, x):
        a = F.relu(self.a(x))
        y = F.relu(self.b(a)).mean([2, 3])
        y = self.fc(F.linear(y, self.around.weight))
        if self.training:
            return y, self.more(F.relu(self.auxiliary(a)).mean([2, 3]))
        return y


def test_what_inference_does_not_run_is_refused_and_not_counted() -> None:
    paddle.seed(1)
    net = Left()
    net.eval()
    engine = NativeEngine(net, IMAGE)
    proven, _ = proof.prove_groups(engine, IMAGE)
    cut = {name for group in proven for name in group.producers}
    assert "a" in cut
    assert not {"old", "auxiliary", "more"} & cut
    assert engine.reasons["old"] == "forward does not use it"
    assert engine.reasons["auxiliary"] == "only training uses it: inference does not run it"
    counts = count(net, IMAGE)
    used = [net.a, net.b, net.fc]
    assert counts.params == sum(int(p.size) for layer in used for p in layer.parameters()) + 144
    costs = cost_models(engine, proven, counts, 10**6, IMAGE)
    keep = {group.name: np.arange(group.channels) >= group.channels // 2 for group in proven}
    predicted = costs["params"].total({name: float(mask.mean()) for name, mask in keep.items()})
    engine.cut(keep)
    engine.freeze()
    assert count(net, IMAGE).params == predicted


class Tied(nn.Layer):
    """A layer that nothing calls shares its weight with one that is called, which can be cut all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.spare, self.head = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(8, 2)
        self.spare.weight = self.first.weight

    def forward(self, x):
        return self.head(F.relu(self.first(x)))


def test_a_layer_that_is_used_is_not_refused_for_its_twin() -> None:
    net = Tied()
    net.eval()
    inputs = [InputSpec(name="x", shape=[1, 4])]
    engine = NativeEngine(net, inputs)
    proven, _ = proof.prove_groups(engine, inputs)
    assert "first" in {name for group in proven for name in group.producers}
