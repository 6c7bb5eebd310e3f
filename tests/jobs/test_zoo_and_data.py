"""The networks and data sets that Secateur brings along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from secateur_api.conditions import Reason
from secateur_api.spec import Data, InputSpec, Model, Pretrain
from secateur_jobs.data.arrays import npz_splits
from secateur_jobs.data.digits import load_digits as digits
from secateur_jobs.data.digits import splits
from secateur_jobs.data.images import Variation, prepare
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.training.forward import forward
from secateur_jobs.user_code import build_model, load_data
from secateur_jobs.zoo.digits import residual_net

pytestmark = pytest.mark.paddle

_VISION = "secateur_jobs.zoo.vision:vision_model"


def _built(factory: str, shape: list[int], **args: Any) -> paddle.nn.Layer:
    inputs = [InputSpec(name="image", shape=shape)]
    net = build_model(Model(factory=factory, args=args, inputs=inputs, pretrain=Pretrain(epochs=1)))
    net.eval()
    return net


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mobilenet_v1", {"scale": 0.25}),
        ("mobilenet_v2", {"scale": 0.25}),
        ("mobilenet_v3_small", {"scale": 0.5}),
        ("mobilenet_v3_large", {"scale": 0.5}),
        ("resnet50", {}),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_vision_models_take_small_images(name: str, options: dict[str, Any], channels: int) -> None:
    net = _built(_VISION, [1, channels, 32, 32], name=name, channels=channels, num_classes=7, **options)
    assert forward(net, [np.zeros((2, channels, 32, 32), np.float32)]).given.shape == [2, 7]


def test_small_inputs_keep_the_side_in_the_first_convolution() -> None:
    image = [np.zeros((1, 3, 32, 32), np.float32)]
    sides = [
        _built(_VISION, [1, 3, 32, 32], name="mobilenet_v1", scale=0.25, small_inputs=small)
        .conv1(paddle.to_tensor(image[0]))
        .shape[-1]
        for small in (True, False)
    ]
    assert sides == [32, 16]


def test_paddle_s_own_functions_are_factories_as_well() -> None:
    net = _built("paddle.vision.models:mobilenet_v1", [1, 3, 64, 64], scale=0.25, num_classes=4)
    assert forward(net, [np.zeros((2, 3, 64, 64), np.float32)]).given.shape == [2, 4]


def test_a_misspelt_network_is_named_with_its_neighbours() -> None:
    with pytest.raises(InvalidInput, match="no 'mobilenetv1'; did you mean 'mobilenet_v1'"):
        _built(_VISION, [1, 3, 32, 32], name="mobilenetv1")


def test_the_digits_net_has_the_stated_size() -> None:
    net = residual_net()
    assert 60_000 < sum(int(p.size) for p in net.parameters()) < 100_000
    assert net(paddle.zeros([2, 1, 32, 32])).shape == [2, 10]


def test_digits_are_split_by_source_image_and_repeat_for_a_seed() -> None:
    train, test = splits(size=8, train_copies=2, eval_copies=1, seed=3)
    assert (len(train), len(test)) == (2400, 597)
    order = np.random.default_rng(3).permutation(1797)
    images, labels = digits()
    np.testing.assert_array_equal(images, load_digits().images)
    np.testing.assert_array_equal(labels, load_digits().target)
    np.testing.assert_array_equal(train.arrays[1], np.repeat(labels[order[:1200]], 2))
    np.testing.assert_array_equal(test.arrays[1], labels[order[1200:]])
    again, _ = splits(size=8, train_copies=2, eval_copies=1, seed=3)
    np.testing.assert_array_equal(train.arrays[0], again.arrays[0])
    other, _ = splits(size=8, train_copies=2, eval_copies=1, seed=4)
    assert not np.array_equal(train.arrays[0], other.arrays[0])
    image, label = test[0]
    assert (image.shape, image.dtype, label.dtype) == ((1, 8, 8), np.float32, np.int64)


def test_an_image_without_variation_is_only_scaled() -> None:
    still = Variation(degrees=0, zoom=0, shift=0, contrast=0, noise=0)
    image = np.random.default_rng(0).random((1, 8, 8))
    out = prepare(image, 8, 3, 1, still, np.random.default_rng(1))
    assert out.shape == (1, 3, 8, 8)
    np.testing.assert_allclose(out[0, 0], image[0] * 2 - 1, atol=1e-6)
    np.testing.assert_array_equal(out[0, 0], out[0, 2])


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    path = tmp_path / "mine.npz"
    np.savez(
        path,
        images=generator.integers(0, 256, (20, 28, 28), np.uint8),
        labels=np.arange(20, dtype=np.uint8) % 10,
    )
    return path


def test_a_user_s_npz_file(archive: Path) -> None:
    args = {"path": str(archive), "train_rows": 12, "eval_rows": 5, "size": 32, "channels": 3}
    train, test = load_data(Data(factory="secateur_jobs.data.arrays:npz_splits", args=args), 1)
    assert (len(train), len(test)) == (12, 5)
    assert test[0][0].shape == (3, 32, 32)
    np.testing.assert_array_equal(test.arrays[1], [5, 6, 7, 8, 9])
    assert test.arrays[1].dtype == np.int64
    still, _ = npz_splits(str(archive), 12, 5, augment=False)
    varied, _ = npz_splits(str(archive), 12, 5)
    assert not np.array_equal(still.arrays[0], varied.arrays[0])


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"path": "/nowhere.npz"}, MissingData, "/nowhere.npz"),
        ({"train_rows": 18}, InvalidInput, "18 + 5 rows asked for"),
        (
            {"rows": 1},
            InvalidInput,
            "spec.data.args: secateur_jobs.data.arrays:npz_splits: got an unexpected",
        ),
    ],
)
def test_a_user_s_npz_file_that_does_not_serve(
    archive: Path, changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    args = {"path": str(archive), "train_rows": 12, "eval_rows": 5, **changes}
    with pytest.raises(error, match=r"spec\.data\.(factory|args): ") as caught:
        load_data(Data(factory="secateur_jobs.data.arrays:npz_splits", args=args), 1)
    assert words in str(caught.value)
    if error is MissingData:
        assert caught.value.reason is Reason.DATASET_INVALID  # type: ignore[attr-defined]
