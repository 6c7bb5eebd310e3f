"""What later stages would fail at is said before anything is spent, in one sentence."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import PruningJobSpec
from secateur_jobs.data.check import check_data
from secateur_jobs.paddle_env import paddle
from secateur_jobs.rehearsal import check_repeatable, rehearse
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.user_code import build_model, load_data

pytestmark = pytest.mark.paddle

_CODE = """
import numpy as np
import paddle
from paddle import nn

class Plain(nn.Layer):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2D(1, 4, 3), nn.BatchNorm2D(4), nn.Linear(4, 3)
    def body(self, x):
        return self.norm(self.conv(x)).mean([2, 3])
    def forward(self, x):
        return self.fc(self.body(x))

class OtherEachTime(Plain):
    def __init__(self, scales=[1]):
        super().__init__()
        self.more = nn.LayerList([nn.Conv2D(4, 4, 1) for _ in scales])
        scales.append(2)

class LateLayer(Plain):
    def forward(self, x):
        if not hasattr(self, "late"):
            self.late = nn.Linear(4, 3)
        return self.late(self.body(x))

class LateInTraining(Plain):
    def forward(self, x):
        if self.training and not hasattr(self, "guide"):
            self.guide = nn.Linear(4, 3)
        return self.fc(self.body(x))

class FoldsInEval(Plain):
    def eval(self):
        if hasattr(self, "norm"):
            self.one = nn.Conv2D(1, 4, 3)
            del self.norm
        return super().eval()
    def forward(self, x):
        return self.fc((self.norm(self.conv(x)) if hasattr(self, "norm") else self.one(x)).mean([2, 3]))

class HiddenState(Plain):
    def __init__(self):
        super().__init__()
        self.mask = paddle.to_tensor(np.random.default_rng().normal(size=[1, 4]).astype("float32"))
    def forward(self, x):
        return self.fc(self.body(x) * self.mask)

class Bare(Plain):
    def forward(self, x):
        return self.fc(self.body(x)) * 1.0

ONE = []
def single():
    ONE.append(Plain()) if not ONE else None
    return ONE[0]

class Pictures(paddle.io.Dataset):
    def __len__(self): return 12
    def __getitem__(self, i):
        return np.random.default_rng(i).normal(size=(1, 6, 6)).astype("float32"), np.int64(i % 3)

def splits(): return Pictures(), Pictures()

def detached(outputs, labels): return nn.functional.cross_entropy(outputs.detach(), labels)
def through_numpy(outputs, labels): return paddle.to_tensor(outputs.numpy().mean())
def broken(outputs, labels): raise KeyError("weight")
def gone(outputs, labels): raise KeyboardInterrupt

class NoGradient(paddle.autograd.PyLayer):
    @staticmethod
    def forward(ctx, x): return x * 1
    @staticmethod
    def backward(ctx, dy): raise NotImplementedError("no gradient yet")
def no_backward(outputs, labels): return NoGradient.apply(outputs).mean()
"""


@pytest.fixture(autouse=True)
def _mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_rehearsed.py").write_text(_CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "mine_rehearsed", raising=False)


def _spec(net: str = "Plain", **evaluation: Any) -> PruningJobSpec:
    return PruningJobSpec.model_validate(
        {
            "model": {
                "factory": f"mine_rehearsed:{net}",
                "pretrain": {"epochs": 1},
                "inputs": [{"name": "image", "shape": [1, 1, 6, 6]}],
            },
            "data": {"factory": "mine_rehearsed:splits"},
            "evaluation": evaluation,
            "pruning": {"target": {"macs": "30%"}},
        }
    )


def _rehearse(spec: PruningJobSpec) -> paddle.nn.Layer:
    net = build_model(spec.model)
    check_repeatable(net, spec.model)
    splits = load_data(spec.data, 1)
    check_data(net, splits, spec.model, spec.evaluation)
    rehearse(net, None, spec, splits)
    return net


def _refused(spec: PruningJobSpec, *words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        _rehearse(spec)
    assert caught.value.reason is Reason.FACTORY_FAILED
    assert "\n" not in caught.value.message
    for word in words:
        assert word in caught.value.message, caught.value.message


def _state(net: paddle.nn.Layer) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().copy() for name, tensor in net.state_dict().items()}


def test_nothing_is_left_of_a_rehearsal() -> None:
    spec = _spec()
    net = build_model(spec.model)
    splits = load_data(spec.data, 1)
    before = _state(net)
    seed_everything(7)
    expected = _drawn()
    seed_everything(7)
    rehearse(net, None, spec, splits)
    assert _drawn() == expected
    after = _state(net)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for p in net.parameters())


def _drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(paddle.rand([1]))


@pytest.mark.parametrize(
    ("net", "words"),
    [
        ("OtherEachTime", ["is not repeatable", "more.1.weight is not there the first time, [4, 4, 1, 1]"]),
        ("single", ["the same network each time"]),
        ("LateLayer", ["'late' is made or changed by eval() or at the first forward", "in __init__"]),
        ("LateInTraining", ["'guide' is made or changed"]),
        ("FoldsInEval", ["'one' is made or changed by eval()"]),
        ("HiddenState", ["output 0 is another one after the network is saved", "register_buffer"]),
    ],
)
def test_a_factory_that_stages_cannot_share(net: str, words: list[str]) -> None:
    _refused(_spec(net), *words)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ("detached", ["moves no weight"]),
        ("through_numpy", ["moves no weight"]),
        ("broken", ["broken raised KeyError: 'weight'"]),
        ("gone", ["gone raised KeyboardInterrupt"]),
        ("no_backward", ["one training step", "no gradient yet"]),
    ],
)
def test_a_loss_that_cannot_train(loss: str, words: list[str]) -> None:
    _refused(_spec(loss=f"mine_rehearsed:{loss}"), *words)
