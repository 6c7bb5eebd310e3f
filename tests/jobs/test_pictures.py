"""Pictures without labels: prepared as the model was trained, split for good, refused by name."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from secateur_api.spec import (
    Data,
    Exported,
    Fit,
    Images,
    InputSpec,
    Labels,
    Layout,
    Model,
    Order,
    PruningJobSpec,
)
from secateur_api.stage import Stage
from secateur_jobs.conversion.export import export
from secateur_jobs.data import codeless
from secateur_jobs.data.apart import apart
from secateur_jobs.data.pictures import notes_of, splits
from secateur_jobs.data.preparation import preparation_of
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.training.batching import is_unlabelled
from secateur_jobs.zoo.digits import residual_net
from tests.jobs.stages import digits_spec, run, stage_input

pytestmark = pytest.mark.paddle


def _model(shape: list[int], folder: Path | None = None) -> Model:
    uri = str(folder / "inference.json") if folder else "inference.json"
    return Model(exported=Exported(uri=uri), inputs=[InputSpec(name="x", shape=shape)])


GREY, COLOUR = _model([1, 1, 4, 6]), _model([1, 3, 4, 6])


def _images(folder: Path, **fields: Any) -> Images:
    return Images(**{"uri": str(folder), "mean": [0.5], "std": [0.5], **fields})


def _save(folder: Path, count: int = 10, mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        colour = number * 20 if mode == "L" else (number * 20, 100, 30)
        Image.new(mode, size, colour).save(folder / f"{number:02}.png")
    return folder


def _values(images: Images, model: Model, picture: Image.Image) -> np.ndarray:
    prepare, _ = preparation_of(images, model)
    return prepare(picture)


def test_each_picture_is_in_one_part_and_always_in_the_same(tmp_path: Path) -> None:
    images = _images(_save(tmp_path / "a"), eval_share=0.3)
    found = splits(images, COLOUR, seed=0)
    reds = [
        sorted(item[0][0, 0, 0].item() for item in map(part.__getitem__, range(len(part)))) for part in found
    ]
    assert [len(part) for part in reds] == [7, 3]
    assert len({*reds[0], *reds[1]}) == 10
    again = splits(images, COLOUR, seed=0)
    assert np.array_equal(again.eval[0][0], found.eval[0][0])
    notes = notes_of(images, COLOUR, found)
    assert notes[0] == "of 10 pictures 7 are trained on and 3 measured on"
    assert "order RGB" in notes[1]


def test_folders_train_and_val_say_which_picture_is_for_what(tmp_path: Path) -> None:
    _save(tmp_path / "train", count=3)
    found = splits(_images(tmp_path), COLOUR, seed=0)
    assert sum(map(len, found)) == 3  # one folder alone says nothing
    _save(tmp_path / "val", count=4)
    assert [len(part) for part in splits(_images(tmp_path), COLOUR, seed=0)] == [3, 4]
    _save(tmp_path / "other", count=1)
    with pytest.raises(InvalidInput, match=r"other/00\.png is in neither of the folders train and val"):
        splits(_images(tmp_path), COLOUR, seed=0)


def test_folders_inside_and_a_zip_give_the_same(tmp_path: Path) -> None:
    folder = _save(tmp_path / "a")
    (folder / "inside").mkdir()
    (folder / "00.png").rename(folder / "inside" / "00.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".00.png").write_bytes(b"hidden")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for path in folder.rglob("*.*"):
            file.write(path, path.relative_to(folder))
    one, other = (splits(_images(uri), COLOUR, seed=3) for uri in (folder, tmp_path / "a.zip"))
    for left, right in zip(one, other, strict=True):
        assert len(left) == len(right)
        assert all(np.array_equal(left[i][0], right[i][0]) for i in range(len(left)))


def test_pixels_become_what_the_spec_says() -> None:
    picture = Image.new("RGB", (6, 4), (255, 0, 51))
    images = Images(uri="a", mean=[0.1, 0.2, 0.3], std=[0.5, 1, 2], order=Order.BGR)
    values = _values(images, COLOUR, picture)
    assert values.shape == (3, 4, 6)
    assert values[:, 0, 0] == pytest.approx([(0.2 - 0.1) / 0.5, -0.2, (1 - 0.3) / 2])
    last = _values(Images(uri="a", mean=[0], std=[1], scale=1), _model([1, 4, 6, 3]), picture)
    assert last.shape == (4, 6, 3)
    assert last[0, 0].tolist() == [255, 0, 51]


def test_a_line_keeps_its_ratio_and_is_filled_with_zeros() -> None:
    picture = Image.new("L", (10, 20), 255)
    values = _values(Images(uri="a", mean=[0.5], std=[0.5], fit=Fit.LINE), GREY, picture)
    assert values[0, :, :2].tolist() == [[1, 1]] * 4
    assert not values[0, :, 2:].any()


def test_a_crop_is_the_middle() -> None:
    pixels = np.zeros((64, 128), np.uint8)
    pixels[:, 32:96] = 255
    values = _values(
        Images(uri="a", mean=[0], std=[1], fit=Fit.CROP), _model([1, 1, 16, 16]), Image.fromarray(pixels)
    )
    assert (values == 1).all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"GIF89a but no more", r"spec.data.images: 03.png is no picture that can be read"),
        (b"", r"03.png is no picture that can be read"),
    ],
)
def test_a_broken_picture_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    folder = _save(tmp_path / "a")
    (folder / "03.png").write_bytes(content)
    with pytest.raises(InvalidInput, match=said):
        splits(_images(folder), COLOUR, seed=0)


def test_a_picture_that_is_cut_short_is_named(tmp_path: Path) -> None:
    folder = _save(tmp_path / "a", size=(600, 400))
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3), np.uint8)
    Image.fromarray(noise).save(folder / "03.png")
    (folder / "03.png").write_bytes((folder / "03.png").read_bytes()[:5000])
    with pytest.raises(InvalidInput, match=r"03.png is no picture that can be read: .*truncated"):
        splits(_images(folder), COLOUR, seed=0)


def test_a_grey_picture_for_a_colour_model_is_named(tmp_path: Path) -> None:
    folder = _save(tmp_path / "a")
    Image.new("L", (6, 4)).save(folder / "07.png")
    with pytest.raises(InvalidInput, match=r"07.png is a grey picture, and the model takes colour"):
        splits(_images(folder), COLOUR, seed=0)
    assert len(splits(_images(folder), GREY, seed=0).train) == 7


@pytest.mark.parametrize("count", [0, 1])
def test_a_folder_without_pictures_is_named(count: int, tmp_path: Path) -> None:
    with pytest.raises(
        MissingData, match=rf"spec.data.images.uri: .*a has {count or 'no'} picture.* at least 2"
    ):
        splits(_images(_save(tmp_path / "a", count)), COLOUR, seed=0)


def test_a_zip_that_is_none_and_one_that_is_a_bomb(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"PK no more")
    with pytest.raises(InvalidInput, match=r"a.zip cannot be unpacked"):
        splits(_images(archive), COLOUR, seed=0)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("0.png", "1.png"):
            file.writestr(name, bytes(2**27))
    with pytest.raises(InvalidInput, match=r"[01].png has more than 64 MiB"):
        splits(_images(archive), COLOUR, seed=0)
    with pytest.raises(InvalidInput, match=r"spec.data.images.sha256: .* another file"):
        splits(_images(archive, sha256="ab" * 32), COLOUR, seed=0)


def test_a_picture_of_too_many_pixels_is_named(tmp_path: Path) -> None:
    folder = _save(tmp_path / "a")
    content = io.BytesIO()
    Image.new("1", (20000, 10000)).save(content, "png")
    (folder / "05.png").write_bytes(content.getvalue())
    with pytest.raises(InvalidInput, match=r"05.png has more than \d+ pixels"):
        splits(_images(folder), GREY, seed=0)


@pytest.mark.parametrize(
    ("fields", "shape", "said"),
    [
        ({"size": [8, 8]}, [1, 3, 4, 6], r"size is \[8, 8\], .* has \[4, 6\]"),
        ({"mean": [1, 2, 3], "std": [1, 2, 3]}, [1, 1, 4, 6], "mean has 3 numbers, .* 1 channels"),
        ({}, [1, 4, 6, 2], "layout NHWC gives .* 2 channels"),
        ({"layout": Layout.NCHW}, [1, 4, 6, 3], "layout NCHW gives .* 4 channels"),
        ({"mean": None, "std": None}, [1, 3, 4, 6], "mean and std are missing, and no inference.yml"),
    ],
)
def test_what_does_not_fit_the_model_is_said(fields: dict[str, Any], shape: list[int], said: str) -> None:
    with pytest.raises(InvalidInput, match=f"spec.data.images: {said}"):
        preparation_of(_images(Path("a"), **fields), _model(shape))


_OCR = """
PreProcess:
  transform_ops:
  - DecodeImage: {channel_first: false, img_mode: BGR}
  - MultiLabelEncode: {gtc_encode: NRTRLabelEncode}
  - RecResizeImg: {image_shape: [3, 4, 6]}
  - KeepKeys: {keep_keys: [image]}
"""
_CLAS = """
PreProcess:
  transform_ops:
  - ResizeImage: {size: [6, 4]}
  - NormalizeImage: {mean: [0.485, 0.456, 0.406], std: [0.2, 0.3, 0.4], scale: 1./255., order: ''}
  - ToCHWImage: null
"""
_DET = """
Preprocess:
- {interp: 2, keep_ratio: false, target_size: [4, 6], type: Resize}
- {mean: [0, 0, 0], std: [1, 1, 1], norm_type: none, is_scale: true, type: NormalizeImage}
- {type: Permute}
"""
_SEG = """
Deploy:
  model: inference.json
  transforms:
  - {target_size: [6, 4], type: Resize}
  - {type: Normalize}
"""
_CROPPED = """
PreProcess:
  transform_ops:
  - ResizeImage: {resize_short: 256, interpolation: bicubic, backend: pil}
  - CropImage: {size: 224}
  - NormalizeImage: {channel_num: 3, mean: [0.485, 0.456, 0.406], order: '', scale: 1./255.,
      std: [0.229, 0.224, 0.225]}
  - ToCHWImage: null
"""
_TEXT = """
PreProcess:
  transform_ops:
  - DecodeImage: {channel_first: false, img_mode: BGR}
  - DetLabelEncode: null
  - DetResizeForTest: {resize_long: 960}
  - NormalizeImage: {order: hwc, scale: 1./255.}
  - ToCHWImage: null
  - KeepKeys: {keep_keys: [image, shape, polys, ignore_tags]}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (_OCR, "fit line, mean [0.5], std [0.5], scale 0.00392157, layout NCHW, order BGR"),
        (
            _CLAS,
            "fit stretch, mean [0.485, 0.456, 0.406], std [0.2, 0.3, 0.4], scale 0.00392157, layout NCHW",
        ),
        (
            _DET,
            "fit stretch, mean [0.0], std [1.0], .*, order RGB, resampling bicubic",
        ),
        (_SEG, "fit stretch, mean [0.5], std [0.5], scale 0.00392157, layout NCHW, order RGB"),
        (
            _TEXT,
            "fit stretch, mean [0.485, 0.456, 0.406], std [0.229, 0.224, 0.225], .* order BGR",
        ),
        (_OCR.replace("4, 6]}", "4, 6], padding: false}").replace("RecR", "ClsR"), "fit stretch, mean [0.5]"),
        (_OCR.replace("img_mode: BGR", "to_rgb: false"), "fit line, mean [0.5], .* order BGR"),
    ],
)
def test_what_the_spec_leaves_out_comes_from_beside_the_model(
    text: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "inference.yml").write_text(text)
    images, model = Images(uri="a"), _model([1, 3, 4, 6], tmp_path)
    _, (note, *_) = preparation_of(images, model)
    assert note.startswith("how pictures are prepared is as inference.yml beside the model says: size [4, 6]")
    assert re.search(re.escape(expected).replace(r"\.\*", ".*"), note)
    stated, _ = preparation_of(Images(uri="a", mean=[0], std=[2], order=Order.RGB), model)
    assert (stated.order, stated.fit, stated.std.tolist()) == (Order.RGB, Fit.STRETCH, [2])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_CLAS.replace("ToCHWImage: null", "Warp: {by: 3}"), r"has Warp \{'by': 3\}, which is not known"),
        (_CLAS.replace("size: [6, 4]", "resize_short: 256"), "shorter side of 256 and no CropImage"),
        (_CLAS.replace("- ToCHWImage: null", "- CropImage: {size: 4}"), r"has CropImage \{'size': 4\}"),
        (_CROPPED.replace("256", "200"), r"has CropImage \{'size': 224\}"),
        (_CROPPED, r"inference.yml says is \[224, 224\]"),
        (_CROPPED.replace("channel_num: 3", "channel_num: 4"), "has NormalizeImage .*'channel_num': 4"),
        (_OCR.replace("BGR", "GRAY"), r"has DecodeImage .*'GRAY'"),
        (_DET.replace("keep_ratio: false, ", ""), "has Resize"),
        (_CLAS.replace("0.2, 0.3", "0.0, 0.3"), "has mean .* give mean and std"),
        (_CLAS.replace("1./255.", "0"), "has mean .* and scale 0.0; give"),
        (_CLAS.replace("1./255.", "much"), "cannot be read; give mean, std"),
        (_DET.replace("target_size: [4, 6]", "target_size: [9, 9]"), r"inference.yml says is \[9, 9\]"),
        (_DET.replace("NormalizeImage", "Permute"), "has no NormalizeImage"),
        ("PreProcess: 5", "cannot be read; give mean, std"),
        ("a: [", "cannot be read; give mean, std"),
    ],
)
def test_what_is_not_known_beside_the_model_is_refused_by_name(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "inference.yml").write_text(text)
    with pytest.raises(InvalidInput, match=f"spec.data.images: .*{said}"):
        preparation_of(Images(uri="a"), _model([1, 3, 4, 6], tmp_path))


def test_the_middle_is_cut_out_as_paddleclas_does(tmp_path: Path) -> None:
    (tmp_path / "inference.yml").write_text(_CROPPED.replace("bicubic", "bilinear"))
    prepare, notes = preparation_of(Images(uri="a"), _model([1, 3, 224, 224], tmp_path))
    assert "fit crop (the shorter side 256 before)" in notes[0]
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 401, 3), np.uint8))
    scaled = picture.resize((round(401 * 256 / 300), 256), Image.Resampling.BILINEAR)
    assert scaled.size == (342, 256)
    left, top = 59, 16  # (342 - 224) // 2, (256 - 224) // 2
    pixels = np.asarray(scaled, np.float32)[top : top + 224, left : left + 224] / 255
    expected = ((pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(2, 0, 1)
    assert prepare(picture) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            _TEXT,
            r"DetResizeForTest {'resize_long': 960} of inference.yml brings each picture to a size",
        ),
        (_TEXT.replace("{resize_long: 960}", "null"), "DetResizeForTest of inference.yml brings"),
        (_TEXT.replace("resize_long: 960", "image_shape: [8, 12]"), "here each is stretched to [4, 6]"),
        (_TEXT.replace("resize_long: 960", "image_shape: [4, 6]"), ""),
        (
            _CLAS.replace("size: [6, 4]", "size: [6, 4], interpolation: area"),
            "interpolation area of inference.yml",
        ),
        (
            _OCR.replace("img_mode: BGR", "ignore_orientation: true"),
            "DecodeImage of inference.yml says ignore_",
        ),
    ],
)
def test_what_is_done_otherwise_than_the_file_says_is_told(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "inference.yml").write_text(text)
    _, (_, *notes) = preparation_of(Images(uri="a"), _model([1, 3, 4, 6], tmp_path))
    assert len(notes) == bool(said)
    assert said in "".join(notes)


def _labelled(folder: Path, *lines: str) -> Images:
    (folder.parent / "list.txt").write_text("\n".join(lines))
    return _images(folder, labels=Labels(uri=str(folder.parent / "list.txt")))


def test_labels_follow_their_pictures(tmp_path: Path) -> None:
    folder = _save(tmp_path / "a")
    (folder / "03.png").rename(folder / "0 3.png")
    names = [path.name for path in sorted(folder.iterdir())]
    images = _labelled(
        folder, *(f"{n}\t{i + 100}" if i % 2 else f"./{n} {i + 100}" for i, n in enumerate(names))
    )
    found = splits(images, COLOUR, seed=0)
    for part in found:
        for index in range(len(part)):
            pixels, label = part[index]
            number = round((pixels[0, 0, 0].item() + 1) * 255 / 2 / 20)
            assert label.dtype == np.int64
            assert label == (100 if number == 3 else 101 + number if number < 3 else 100 + number)
    assert not any(map(is_unlabelled, found))
    bare = codeless.splits(Data(images=images), COLOUR, 0, has_labels=False)
    assert all(map(is_unlabelled, bare))


@pytest.mark.parametrize("small", [True, False])
def test_what_is_trained_on_may_have_no_labels(
    small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not small:
        monkeypatch.setattr("secateur_jobs.data.apart._KEPT", 0)
    (tmp_path / "a").mkdir()
    _save(tmp_path / "a" / "train", count=3)
    _save(tmp_path / "a" / "val", count=2)
    images = _labelled(tmp_path / "a", "val/00.png 7", "", "val/01.png 0")
    train, measured = splits(images, COLOUR, seed=0)
    assert [int(measured[index][1]) for index in (0, 1)] == [7, 0]
    assert [is_unlabelled(part) for part in (train, measured)] == [True, False]
    with pytest.raises(InvalidInput, match=r"list.txt has no line for train/01.png; give it one"):
        splits(_labelled(tmp_path / "a", "val/00.png 7", "val/01.png 0", "train/00.png 1"), COLOUR, seed=0)
    with pytest.raises(InvalidInput, match=r"list.txt has no line for val/01.png; give it one"):
        splits(_labelled(tmp_path / "a", "val/00.png 7"), COLOUR, seed=0)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["00.png cat"], r"line 1: '00.png cat' is no picture's path and the number of its class"),
        (["00.png 0", "00.png -1"], r"line 2: '00.png -1' is no picture's path"),
        (["00.png"], r"line 1: '00.png' is no picture's path"),
        (["00.png 1234567890"], r"line 1: '00.png 1234567890' is no picture's path"),
        (["0O.png 1"], r"line 1: there is no picture '0O.png' in images.uri; did you mean"),
        (["00.png 1", "00.png 1", "00.png 2"], r"line 3: '00.png' is of class 2 here and of 1 above"),
        (["00.png 1"], r"list.txt has no line for 01.png; give it one, or take it out"),
    ],
)
def test_a_label_that_does_not_fit_is_named(lines: list[str], said: str, tmp_path: Path) -> None:
    images = _labelled(_save(tmp_path / "a"), *lines)
    with pytest.raises(InvalidInput, match=f"spec.data.images.labels: .*{said}"):
        splits(images, COLOUR, seed=0)


def test_a_list_that_is_not_there_and_one_that_is_no_text(tmp_path: Path) -> None:
    folder = _save(tmp_path / "a")
    images = _images(folder, labels=Labels(uri=str(tmp_path / "b.txt")))
    with pytest.raises(MissingData, match=r"spec.data.images.labels.uri: there is no file .*b.txt"):
        splits(images, COLOUR, seed=0)
    (tmp_path / "b.txt").write_bytes(b"\xff\xd8")
    with pytest.raises(InvalidInput, match=r"b.txt is not UTF-8 text"):
        splits(images, COLOUR, seed=0)


def test_an_exported_model_is_judged_by_labels_in_a_list(tmp_path: Path) -> None:
    paddle.seed(0)
    net = residual_net(width=8)
    inputs = [InputSpec(name="x", shape=[1, 1, 16, 16])]
    export(net, inputs, tmp_path, any_batch=True)
    (file,) = tmp_path.glob("*.pdmodel")
    random = np.random.default_rng(0)
    (tmp_path / "a").mkdir()
    for number in range(20):
        Image.fromarray(random.integers(0, 255, (16, 16), np.uint8)).save(tmp_path / "a" / f"{number:02}.png")
    spec = digits_spec(
        model={"exported": {"uri": str(file)}, "inputs": [one.to_wire() for one in inputs]},
        data={
            "images": {"uri": str(tmp_path / "a"), "mean": [0.5], "std": [0.5], "evalShare": 0.5},
        },
        convert=[{"format": "onnx"}],
        benchmark=[],
        pruning={"target": {"macs": "30%"}},
    )
    images = PruningJobSpec.model_validate(spec).data.images
    assert images is not None
    measured = splits(images, Model(exported=Exported(uri=str(file)), inputs=inputs), seed=0).eval
    net.eval()
    classes = dict.fromkeys(range(20), 0)
    for at, number in enumerate(apart(20, 0.5, 0)[1]):
        said = int(net(paddle.to_tensor(measured[at][0][None])).argmax())
        classes[number] = said if at < 7 else (said + 1) % 10
    lines = [f"{number:02}.png {one}" for number, one in classes.items()]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    spec["data"]["images"]["labels"] = {"uri": str(tmp_path / "list.txt")}
    ended = run("preflight", stage_input(Stage.PREFLIGHT, spec, tmp_path / "store"), tmp_path)
    assert ended.code == 0, ended.stderr
    assert ended.said.outcome.preflight is not None
    assert ended.said.outcome.preflight.baseline.metric == pytest.approx(0.7)
