"""``import secateur``: the examples run, errors name the argument, and it does what a job does."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import secateur
from secateur import _arguments
from secateur_jobs.data.digits import splits
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.batching import ArrayDataset
from secateur_jobs.zoo.digits import residual_net

INPUTS = [("image", (1, 1, 16, 16))]
ROOT = Path(secateur.__file__).parents[1]


@pytest.fixture(scope="module")
def data() -> tuple[ArrayDataset, ArrayDataset]:
    return splits(size=16, train_copies=1, eval_copies=1)


@pytest.fixture(scope="module")
def net(data: tuple[ArrayDataset, ArrayDataset]) -> paddle.nn.Layer:
    """A net that has learnt a little."""
    paddle.seed(0)
    net = residual_net(width=8)
    secateur.fine_tune(net, INPUTS, *data, epochs=2, learning_rate=0.003)
    return net


@pytest.mark.paddle
@pytest.mark.parametrize("name", ["secateur", *(f"secateur.{module}" for module in secateur._MODULES)])
def test_the_examples_run(name: str) -> None:
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL).failed == 0


def test_every_public_function_has_an_example() -> None:
    for name in secateur.__all__:
        found = getattr(secateur, name)
        if callable(found) and not isinstance(found, type) and found.__module__.startswith("secateur."):
            assert ">>> " in found.__doc__, name


@pytest.mark.paddle
def test_a_cut_reaches_its_target_and_leaves_the_net_alone(
    net: paddle.nn.Layer, data: tuple[ArrayDataset, ArrayDataset]
) -> None:
    before = {name: tensor.numpy().copy() for name, tensor in net.state_dict().items()}
    net.layer1.eval()
    net.layer2.train()
    small, account = secateur.prune(net, INPUTS, macs=0.5, data=data[0], align=2)
    assert account.cut_macs >= 0.5
    assert account.macs[1] == secateur.inspect(small, INPUTS).macs
    assert (net.layer1.training, net.layer2.training) == (False, True)
    assert all(np.array_equal(before[name], tensor.numpy()) for name, tensor in net.state_dict().items())
    net.eval()


@pytest.mark.paddle
def test_functions_of_the_caller_are_taken(
    net: paddle.nn.Layer, data: tuple[ArrayDataset, ArrayDataset]
) -> None:
    def last_stay(net: paddle.nn.Layer, group: object, calibration: object) -> np.ndarray:
        return np.arange(group.channels, dtype=float)

    def hits(outputs: np.ndarray, labels: np.ndarray) -> float:
        return float((outputs.argmax(-1) == labels).mean())

    images, labels = (column[:64] for column in data[0].arrays)
    rule = {"layer1.conv1": 0.5}
    small, _ = secateur.prune(
        net,
        INPUTS,
        data=(images, labels),
        layers=rule,
        criterion=last_stay,
        repair=False,
        align=1,
        metric=hits,
    )
    kept = net.state_dict()["layer1.conv1.weight"].numpy()[4:]
    assert np.array_equal(small.state_dict()["layer1.conv1.weight"].numpy(), kept)


@pytest.mark.paddle
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, r"^macs, params, size and layers are all missing; say what to cut, such as macs=0.5$"),
        ({"macs": 50}, r"^macs is the share to cut, above 0 and below 1, such as 0.5; not 50$"),
        ({"macs": 0.99}, r"^macs, params, size: 99% of the macs is asked for, at most"),
        ({"layers": {"nothing.*": 0.5}}, r"^layers\[0\].match: 'nothing.\*'"),
        ({"macs": 0.5, "criterion": "best"}, r"^criterion: "),
        ({"macs": 0.5, "align": 0}, r"^align: "),
        ({"macs": 0.5, "metric": "acuracy"}, r"^metric: "),
        ({"macs": 0.5, "data": []}, r"^data must be|^data: "),
        ({"macs": 0.5, "data": [np.zeros((4, 3)), np.zeros(4, "int64")]}, r"^data: item 0"),
        ({"macs": 0.5, "inputs": [(1, 1, 16, 16)]}, r"^inputs\[0\] must be \(name, shape\)"),
        ({"macs": 0.5, "inputs": [("image", (1, 1, 0, 16))]}, r"^inputs\[0\] "),
        ({"macs": 0.5, "output": "other"}, r"^output: "),
    ],
)
def test_errors_speak_of_the_argument(
    wrong: dict[str, object], words: str, net: paddle.nn.Layer, data: tuple[ArrayDataset, ArrayDataset]
) -> None:
    given = {"inputs": INPUTS, "data": data[0], **wrong}
    with pytest.raises(ValueError, match=words) as caught:
        secateur.prune(net, **given)
    assert "spec." not in str(caught.value)


def test_every_field_that_the_engine_speaks_of_has_an_argument() -> None:
    """Its messages name a PruningJob's fields; a new one needs a row in the table."""
    fields = set()
    for folder in ("pruning", "training", "conversion", "measure", "data", "graph"):
        for path in (ROOT / "secateur_jobs" / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    fields |= set(re.findall(r"(?<!`)spec(?:\.[a-z][A-Za-z]*)+", node.value))
    unknown = {field for field in fields if "spec." in _arguments.in_arguments(field)}
    assert unknown <= NOT_OF_THE_LIBRARY
    assert "spec.pruning.criterion" in fields


NOT_OF_THE_LIBRARY = {
    "spec.code",  # the library's caller imports its own modules
    "spec.data",  # and has its arrays or its data set
    "spec.data.args",
    "spec.data.arrays",
    "spec.data.images",
    "spec.data.images.labels",
    "spec.data.lines",
    "spec.data.workers",
    "spec.pruning.engine",  # it has one
    "spec.sensitivity.file",  # PaddleSlim's
}


@pytest.mark.paddle
def test_paddle_imported_too_early_is_named(tmp_path: Path) -> None:
    script = (
        "import paddle, secateur\n"
        "from secateur_jobs.zoo.digits import residual_net\n"
        f"secateur.export(residual_net(), {INPUTS}, 'net.onnx')"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("FLAGS_")}
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith(
        "ValueError: net: Paddle was imported with its new program"
    )


@pytest.mark.paddle
def test_a_file_says_nothing_of_who_built_it_unless_told(tmp_path: Path, net: paddle.nn.Layer) -> None:
    path = tmp_path / "net.safetensors"
    secateur.save(net, path, INPUTS)
    with pytest.raises(ValueError, match="does not say who builds its network"):
        secateur.load(path)
    again = secateur.load(path, model=lambda: residual_net(width=8))
    image = paddle.randn([1, 1, 16, 16])
    assert np.array_equal(again(image).numpy(), net(image).numpy())
    secateur.save(net, path, INPUTS, factory="secateur_jobs.zoo.digits:residual_net", args={"width": 8})
    assert np.array_equal(secateur.load(path)(image).numpy(), net(image).numpy())
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="truncated"):
        secateur.load(path)
