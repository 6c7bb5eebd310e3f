"""Checkpoints: one file rebuilds the pruned network elsewhere, and anything else is refused in words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from secateur_api.conditions import Reason
from secateur_api.spec import InputSpec, Model, Pretrain
from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.user_code import build_model
from tests.jobs.rebuilding import rebuilt

pytestmark = pytest.mark.paddle

_DIGITS = Model(
    factory="secateur_jobs.zoo.digits:residual_net",
    args={"width": 8},
    inputs=[InputSpec(name="image", shape=[1, 1, 16, 16])],
    pretrain=Pretrain(epochs=1),
)
_MOBILE = Model(
    factory="secateur_jobs.zoo.vision:vision_model",
    args={"name": "mobilenet_v1", "scale": 0.25},
    inputs=[InputSpec(name="image", shape=[1, 3, 32, 32])],
    pretrain=Pretrain(epochs=1),
)


def _cut(tensor: paddle.Tensor, axis: int, keep: int) -> None:
    array = np.ascontiguousarray(np.take(tensor.numpy(), range(keep), axis=axis))
    tensor.get_tensor().set(array, paddle.CPUPlace())


def _cut_digits() -> paddle.nn.Layer:
    """The digits net with the inner channels of its first stage halved."""
    seed_everything(1)
    net = build_model(_DIGITS)
    stage = net.layer1
    _cut(stage.conv1.weight, 0, 4)
    for vector in (stage.bn1.weight, stage.bn1.bias, stage.bn1._mean, stage.bn1._variance):
        _cut(vector, 0, 4)
    _cut(stage.conv2.weight, 1, 4)
    net.eval()
    return net


def _cut_mobile() -> paddle.nn.Layer:
    """MobileNetV1 with its first convolution cut to 4 channels: the depthwise one after it gets 4 groups."""
    seed_everything(1)
    net = build_model(_MOBILE)
    first, block = net.conv1, net.dwsl[0]
    depthwise, pointwise = block._depthwise_conv, block._pointwise_conv
    for conv, norm in ((first[0], first[1]), (depthwise[0], depthwise[1])):
        _cut(conv.weight, 0, 4)
        for vector in (norm.weight, norm.bias, norm._mean, norm._variance):
            _cut(vector, 0, 4)
    depthwise[0]._groups = 4
    _cut(pointwise[0].weight, 1, 4)
    net.eval()
    return net


def _image(model: Model) -> np.ndarray:
    shape = [2, *model.inputs[0].shape[1:]]
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("cut", "model"), [(_cut_digits, _DIGITS), (_cut_mobile, _MOBILE)])
def test_a_fresh_process_rebuilds_the_pruned_net_with_equal_outputs(
    cut, model: Model, tmp_path: Path
) -> None:
    net = cut()
    image = _image(model)
    expected = net(paddle.to_tensor(image)).numpy()
    (tmp_path / "net.safetensors").write_bytes(checkpoint.to_bytes(net, model))
    np.save(tmp_path / "image.npy", image)
    script = (
        "import sys, numpy, secateur; assert 'paddle' not in sys.modules; "
        "net = secateur.load('net.safetensors'); import paddle; "
        "numpy.save('output.npy', net(paddle.to_tensor(numpy.load('image.npy'))).numpy())"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], cwd=tmp_path, check=True, timeout=60)
    np.testing.assert_array_equal(np.load(tmp_path / "output.npy"), expected)


def test_a_file_does_not_choose_the_code_that_runs(tmp_path: Path) -> None:
    payload = {"astr": f"open({str(tmp_path / 'ran')!r}, 'w')", "dict": {}}
    foreign = _DIGITS.model_copy(update={"factory": "numpy.testing:runstring", "args": payload})
    path = tmp_path / "net.safetensors"
    path.write_bytes(checkpoint.to_bytes(_cut_digits(), foreign))
    with pytest.raises(ValueError, match=r"numpy\.testing:runstring .*give it as model="):
        checkpoint.load(path)
    with pytest.raises(MissingData, match=r"it is of numpy\.testing:runstring .*, not of secateur_jobs"):
        checkpoint.from_bytes(path.read_bytes(), _DIGITS)
    assert not (tmp_path / "ran").exists()
    again = checkpoint.load(path, partial(build_model, _DIGITS))
    image = paddle.to_tensor(_image(_DIGITS))
    np.testing.assert_array_equal(again(image).numpy(), _cut_digits()(image).numpy())


def test_a_rebuilt_net_declares_its_new_widths_and_can_be_trained() -> None:
    net = rebuilt(checkpoint.to_bytes(_cut_digits(), _DIGITS))
    assert (net.layer1.conv1._out_channels, net.layer1.bn1._num_features) == (4, 4)
    assert net.layer1.conv2._in_channels == 4
    net.train()
    before = net.layer1.conv1.weight.numpy()
    optimizer = paddle.optimizer.AdamW(0.1, parameters=net.parameters())
    net(paddle.to_tensor(_image(_DIGITS))).sum().backward()
    optimizer.step()
    assert not np.array_equal(net.layer1.conv1.weight.numpy(), before)


def test_equal_nets_give_equal_bytes_and_slim_backups_are_left_out() -> None:
    net = _cut_digits()
    content = checkpoint.to_bytes(net, _DIGITS)
    net.conv1.register_buffer("weight_backup", paddle.zeros([8]))
    again = rebuilt(content)
    assert checkpoint.to_bytes(net, _DIGITS) == content
    assert checkpoint.to_bytes(again, _DIGITS) == content
    assert checkpoint.parse(content, "it")[1].toolchain["paddlepaddle"] == paddle.__version__


def _edited(content: bytes, **tensors: np.ndarray | None) -> bytes:
    arrays = safetensors.numpy.load(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    arrays |= {name: array for name, array in tensors.items() if array is not None}
    kept = {name: array for name, array in arrays.items() if tensors.get(name, array) is not None}
    return safetensors.numpy.save(kept, metadata=header["__metadata__"])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda c: c[: len(c) // 2], ["truncated"]),
        (lambda c: b"", ["truncated"]),
        (lambda c: b"\x00" * 100, ["truncated"]),
        (lambda c: safetensors.numpy.save({"a": np.zeros(2)}), ["not written by Secateur"]),
        (lambda c: _edited(c, **{"fc.bias": None}), ["lacks the tensor 'fc.bias'"]),
        (lambda c: _edited(c, odd=np.zeros(2, np.float32)), ["'odd' has no place"]),
        (lambda c: _edited(c, **{"fc.bias": np.zeros(11, np.float32)}), ["fc.bias is [11]", "[10]"]),
        (lambda c: _edited(c, **{"fc.bias": np.zeros(0, np.float32)}), ["fc.bias is [0]"]),
        (lambda c: _edited(c, **{"fc.bias": np.zeros((10, 1), np.float32)}), ["fc.bias is [10, 1]"]),
        (lambda c: _edited(c, **{"fc.bias": np.zeros(10, np.float64)}), ["float64", "float32"]),
        (lambda c: _edited(c, **{"fc.weight": np.zeros((30, 10), np.float32)}), ["do not fit each other"]),
        (lambda c: c.replace(b'schemaVersion\\": 1', b'schemaVersion\\": 9'), ["schema 9"]),
        (lambda c: c.replace(b'schemaVersion\\"', b'schemaVerslon\\"'), ["metadata is damaged"]),
    ],
)
def test_a_file_that_is_no_whole_checkpoint_is_refused(
    damage: Callable[[bytes], bytes], words: list[str]
) -> None:
    content = checkpoint.to_bytes(_cut_digits(), _DIGITS)
    damaged = damage(content)
    assert damaged != content
    with pytest.raises(MissingData) as caught:
        rebuilt(damaged, "net.safetensors")
    assert caught.value.reason is Reason.ARTIFACT_CORRUPT
    for word in ["net.safetensors", *words]:
        assert word in caught.value.message


def test_a_checkpoint_whose_factory_is_gone(tmp_path: Path) -> None:
    content = checkpoint.to_bytes(_cut_digits(), _DIGITS).replace(
        b"zoo.digits:residual", b"zoo.digits:residuol"
    )
    with pytest.raises(InvalidInput, match="did you mean 'residual_net'"):
        rebuilt(content)
    with pytest.raises(FileNotFoundError, match=r"none\.safetensors"):
        checkpoint.load(tmp_path / "none.safetensors")
