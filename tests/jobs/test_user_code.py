"""The user's factories: what is wrong with them is said in one sentence that names the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import Data, Evaluation, InputSpec, Model, Pretrain
from secateur_jobs.data.check import check_data
from secateur_jobs.runtime.errors import InvalidInput, MissingData, StageError
from secateur_jobs.training.evaluate import evaluate
from secateur_jobs.user_code import build_model, load_callable, load_data

pytestmark = pytest.mark.paddle

_CODE = """
import numpy as np
import paddle

class Net(paddle.nn.Layer):
    def __init__(self, classes=3):
        super().__init__()
        self.fc = paddle.nn.Linear(4, classes)
    def forward(self, x):
        return self.fc(x)

def net(classes=3): return Net(classes)
def broken(): raise RuntimeError("no such width")
def leaves(): raise SystemExit(3)
def number(): return 42
size = 7

class Rows(paddle.io.Dataset):
    def __init__(self, n, label=lambda i: i % 3, item=None):
        self.n, self.label, self.item = n, label, item
    def __len__(self): return self.n
    def __getitem__(self, i):
        if self.item is not None:
            return self.item(i)
        return np.full(4, i, "float32"), np.int64(self.label(i))

class Stream(paddle.io.IterableDataset):
    def __iter__(self): yield from ()

def rows(): return Rows(9), Rows(6)
def empty(): return Rows(9), Rows(0)
def single(): return Rows(9)
def stream(): return Rows(9), Stream()
def missing(): return open("/nowhere/data.npz")
def label_too_large(): return Rows(9, lambda i: 3 if i == 5 else 0), Rows(6)
def label_negative(): return Rows(9), Rows(6, lambda i: -1)
def label_float(): return Rows(9), Rows(6, item=lambda i: (np.zeros(4, "float32"), 0.5))
def raises():
    def item(i):
        if i == 4: raise ValueError("unreadable image")
        return np.zeros(4, "float32"), np.int64(0)
    return Rows(9), Rows(6, item=item)
def lonely(): return Rows(9), Rows(6, item=lambda i: np.zeros(4, "float32"))
def wide(): return Rows(9), Rows(6, item=lambda i: (np.zeros(5, "float32"), np.int64(0)))
def whole(): return Rows(9), Rows(6, item=lambda i: (np.zeros(4, "int64"), np.int64(0)))
def nan(): return Rows(9), Rows(6, item=lambda i: (np.full(4, np.nan, "float32"), np.int64(0)))
def words(): return Rows(9), Rows(6, item=lambda i: (np.array([None] * 4), np.int64(0)))
"""


@pytest.fixture(autouse=True)
def _mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_code.py").write_text(_CODE)
    (tmp_path / "mine_broken.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "mine_syntax.py").write_text("\ndef net(:\n")
    (tmp_path / "mine_raises.py").write_text("\nraise ValueError('half written')\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def _model(factory: str, **args: Any) -> Model:
    inputs = [InputSpec(name="x", shape=[1, 4])]
    return Model(factory=factory, args=args, inputs=inputs, pretrain=Pretrain(epochs=1))


@pytest.mark.parametrize(
    ("ref", "reason", "words"),
    [
        ("mine_cod:net", Reason.CODE_NOT_FOUND, ["no module 'mine_cod'", "did you mean mine_code?"]),
        ("paddle.vision.model:resnet18", Reason.CODE_NOT_FOUND, ["did you mean paddle.vision.models?"]),
        ("mine_code:nett", Reason.CODE_NOT_FOUND, ["has no 'nett'", "did you mean 'net'"]),
        ("mine_code:size", Reason.CODE_NOT_FOUND, ["is a int", "callable"]),
        ("mine_broken:net", Reason.CODE_NOT_FOUND, ["imports 'nothing_of_that_name'", "not installed"]),
        ("mine_syntax:net", Reason.FACTORY_FAILED, ["raised SyntaxError", "(mine_syntax.py, line 2)"]),
        ("mine_raises:net", Reason.FACTORY_FAILED, ["ValueError: half written", "mine_raises.py, line 2"]),
    ],
)
def test_a_callable_that_cannot_be_had(ref: str, reason: Reason, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_callable(ref, "spec.model.factory")
    assert caught.value.reason is reason
    for word in ["spec.model.factory", *words]:
        assert word in caught.value.message


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (_model("mine_code:broken"), ["RuntimeError: no such width", "mine_code.py, line 13"]),
        (_model("mine_code:leaves"), ["SystemExit"]),
        (_model("mine_code:number"), ["returned an object of type int", "paddle.nn.Layer"]),
        (_model("os:system", command="true"), ["os:system", "Python's own"]),
    ],
)
def test_a_factory_that_gives_no_network(model: Model, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        build_model(model)
    assert caught.value.reason is Reason.FACTORY_FAILED
    for word in ["spec.model.factory", *words]:
        assert word in caught.value.message


def test_arguments_that_a_factory_does_not_take() -> None:
    unknown = (
        r"spec\.model\.args: mine_code:net: got an unexpected keyword argument 'klasses'; it takes classes"
    )
    with pytest.raises(InvalidInput, match=unknown):
        build_model(_model("mine_code:net", klasses=3))
    with pytest.raises(InvalidInput, match=r"spec\.data\.args: mine_code:rows: .*'n'; it takes none"):
        load_data(Data(factory="mine_code:rows", args={"n": 3}), 1)


def test_parameter_names_do_not_depend_on_what_was_built_before() -> None:
    first, second = (build_model(_model("mine_code:net")) for _ in range(2))
    assert [p.name for p in first.parameters()] == [p.name for p in second.parameters()]


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("empty", InvalidInput, ["the eval set is empty"]),
        ("single", InvalidInput, ["must return (train, eval)"]),
        ("stream", InvalidInput, ["the eval set", "Stream", "__len__"]),
        ("missing", MissingData, ["/nowhere/data.npz"]),
        ("number", InvalidInput, ["returned an object of type int"]),
        ("label_too_large", InvalidInput, ["the train set, item 5", "label 3", "3 outputs", "0..2"]),
        ("label_negative", InvalidInput, ["the eval set, item 0", "label -1"]),
        ("label_float", InvalidInput, ["labels are float32", "int64"]),
        ("raises", InvalidInput, ["item 4", "ValueError: unreadable image", "mine_code.py"]),
        ("lonely", InvalidInput, ["item 0", "(input..., label)"]),
        ("wide", InvalidInput, ["[[5]]", "[[4]]", "spec.model.inputs"]),
        ("whole", InvalidInput, ["int64", "expected float32"]),
        ("nan", InvalidInput, ["not finite"]),
        ("words", InvalidInput, ["no array of numbers"]),
    ],
)
def test_data_that_does_not_fit(name: str, error: type[StageError], words: list[str]) -> None:
    model = _model("mine_code:net")
    with pytest.raises(error) as caught:
        check_data(build_model(model), load_data(Data(factory=f"mine_code:{name}"), 1), model, Evaluation())
    assert caught.value.reason is Reason.DATASET_INVALID
    for word in ["spec.data.factory", *words]:
        assert word in caught.value.message


def test_good_data_passes_and_a_bad_item_is_found_later_as_well() -> None:
    model = _model("mine_code:net")
    net = build_model(model)
    check_data(net, load_data(Data(factory="mine_code:rows"), 1), model, Evaluation())
    with pytest.raises(InvalidInput, match="item 4 raised ValueError: unreadable image"):
        evaluate(net, load_data(Data(factory="mine_code:raises"), 1).eval, Evaluation())


def test_a_network_that_cannot_run_on_its_declared_input() -> None:
    model = _model("mine_code:net").model_copy(update={"inputs": [InputSpec(name="x", shape=[1, 5])]})
    with pytest.raises(InvalidInput, match=r"spec\.model\.inputs: mine_code:net cannot run on \[\[1, 5\]\]"):
        check_data(build_model(model), load_data(Data(factory="mine_code:wide"), 1), model, Evaluation())
