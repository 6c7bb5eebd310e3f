"""The user's own images, one folder a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from secateur_api.spec import Data
from secateur_jobs.data.image_folder import splits
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.user_code import Splits, load_data

pytestmark = pytest.mark.paddle

_HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}


def _image(path: Path, colour: tuple[int, int, int] = (255, 0, 0), size: tuple[int, int] = (24, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def _load(folder: Path, **args: Any) -> Splits:
    factory = "secateur_jobs.data.image_folder:splits"
    return load_data(Data(factory=factory, args={"folder": str(folder), "size": 8, **args}), 1)


def test_train_and_val_folders(tmp_path: Path) -> None:
    for name in ("train/cat/1.jpg", "train/cat/2.PNG", "train/dog/1.png", "val/dog/9.png"):
        _image(tmp_path / name)
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    train, test = _load(tmp_path, **_HALF)
    assert (len(train), len(test)) == (3, 1)
    assert [int(train[i][1]) for i in range(3)] == [0, 0, 1]
    image, label = test[0]
    assert (image.shape, image.dtype, label.dtype, int(label)) == ((3, 8, 8), np.float32, np.int64, 1)
    np.testing.assert_allclose(image[:, 4, 4], [1, -1, -1], atol=1e-6)


def test_one_folder_is_split_by_class_and_seed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for index in range(10):
            _image(tmp_path / name / f"{index}.png", (25 * index, 0, 0))
    train, test = _load(tmp_path, eval_share=0.3, augment=False)
    assert (len(train), len(test)) == (14, 6)
    assert sorted(int(test[i][1]) for i in range(6)) == [0, 0, 0, 1, 1, 1]
    seen = {float(train[i][0][0, 0, 0]) for i in range(7)}
    assert not seen & {float(test[i][0][0, 0, 0]) for i in range(3)}
    _, again = _load(tmp_path, eval_share=0.3, augment=False)
    np.testing.assert_array_equal(test[2][0], again[2][0])
    _, other = _load(tmp_path, eval_share=0.3, augment=False, seed=1)
    assert any(not np.array_equal(test[i][0], other[i][0]) for i in range(6))


def test_augmentation_follows_numpy_s_seed_and_evaluation_does_not_vary(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    for side in ("train", "val"):
        (tmp_path / side / "a").mkdir(parents=True)
        Image.fromarray(noise).save(tmp_path / side / "a" / "1.png")
    train, test = splits(str(tmp_path), size=8, channels=1)
    np.random.seed(0)
    first, second = train[0][0], train[0][0]
    np.random.seed(0)
    np.testing.assert_array_equal(first, train[0][0])
    assert not np.array_equal(first, second)
    assert first.shape == (1, 8, 8)
    np.testing.assert_array_equal(test[0][0], test[0][0])


@pytest.mark.parametrize(
    ("files", "args", "error", "words"),
    [
        ([], {}, InvalidInput, "has no folders; each class needs one"),
        (["train/a/1.png", "val/b/1.png"], {}, InvalidInput, "class 'b' is not in the training set"),
        (["a/1.png"], {}, InvalidInput, "a has one image; a class that is split needs two"),
        (["train/a/1.png", "train/b/x.txt", "val/a/1.png"], {}, InvalidInput, "b has no image (.jpg"),
        (["a/1.png", "a/2.png"], {"mean": [0.5]}, InvalidInput, "mean has 1 values for 3 channels"),
        (None, {}, MissingData, "is no folder"),
    ],
)
def test_folders_that_do_not_serve(
    tmp_path: Path, files: list[str] | None, args: dict[str, Any], error: type[Exception], words: str
) -> None:
    folder = tmp_path / "images"
    if files is not None:
        folder.mkdir()
    for name in files or []:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".txt"):
            (folder / name).write_text("no image")
        else:
            _image(folder / name)
    with pytest.raises(error) as caught:
        _load(folder, **args)
    assert words in str(caught.value)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    for side in ("train", "val"):
        _image(tmp_path / side / "a" / "1.png")
    (tmp_path / "val" / "a" / "1.png").write_bytes(b"cut short")
    _, test = splits(str(tmp_path), size=8)
    with pytest.raises(ValueError, match=r"1\.png is no image that can be read"):
        test[0]
