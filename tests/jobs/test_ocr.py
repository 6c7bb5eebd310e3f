"""Text recognition: PaddleOCR's names, lines of text, CTC, and a recogniser that learns and is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from secateur_api.conditions import Reason
from secateur_api.spec import Data, Distillation, Evaluation, InputSpec, Model, Pretrain, Weights
from secateur_jobs.data.text_lines import labelled, splits
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, MissingData
from secateur_jobs.training.distillation import distillation_loss
from secateur_jobs.training.evaluate import evaluate, evaluate_with
from secateur_jobs.training.form import Form
from secateur_jobs.training.forward import forward, read
from secateur_jobs.training.labels import check_labels
from secateur_jobs.training.losses import loss_function
from secateur_jobs.training.outputs import Outputs
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.train import train
from secateur_jobs.user_code import build_model, load_data
from secateur_jobs.weights import load_weights
from secateur_jobs.zoo.ocr import crnn_mobile

pytestmark = pytest.mark.paddle

_PUBLISHED = Path(__file__).parent / "fixtures" / "ch_ppocr_mobile_v2.0_rec.json"
_CTC = Evaluation(metric="sequence_accuracy", loss="ctc")


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory: pytest.TempPathFactory) -> str:
    """6,623 characters, as many as PaddleOCR's ``ppocr_keys_v1.txt`` has."""
    path = tmp_path_factory.mktemp("dictionary") / "keys.txt"
    path.write_text("".join(f"{chr(0x4E00 + i)}\n" for i in range(6623)), encoding="utf-8")
    return str(path)


def test_names_and_shapes_are_those_of_the_published_recogniser(dictionary: str) -> None:
    net = crnn_mobile(dictionary, space=True)
    own = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    assert own == json.loads(_PUBLISHED.read_text(encoding="utf-8"))["parameters"]
    net.eval()
    assert forward(net, [np.zeros((1, 3, 32, 320), np.float32)]).given.shape == [1, 80, 6625]


@pytest.mark.parametrize("names", ["both", "of the layer", "of the cells"])
def test_weights_load_whichever_names_the_lstm_s_tensors_have(tmp_path: Path, names: str) -> None:
    trained = crnn_mobile(light=True, scale=0.35, hidden=4)
    arrays = {name: tensor.numpy() for name, tensor in trained.state_dict().items()}
    drop = {"both": "nothing", "of the layer": ".cell_", "of the cells": "lstm.weight_|lstm.bias_"}[names]
    np.savez(
        tmp_path / "w.npz", **{k: v for k, v in arrays.items() if not any(d in k for d in drop.split("|"))}
    )
    net = crnn_mobile(light=True, scale=0.35, hidden=4)
    load_weights(net, Weights(uri=str(tmp_path / "w.npz")))
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), arrays[name])


def test_lines_repeat_for_a_seed_and_vary() -> None:
    first, test = splits("id_number", 6, 2, length=(3, 9), width=96, seed=4)
    again, _ = splits("id_number", 6, 2, length=(3, 9), width=96, seed=4)
    other, _ = splits("id_number", 6, 2, length=(3, 9), width=96, seed=5)
    np.testing.assert_array_equal(first.arrays[0], again.arrays[0])
    np.testing.assert_array_equal(first.arrays[1], again.arrays[1])
    assert not np.array_equal(first.arrays[0], other.arrays[0])
    image, label = test[0]
    assert (image.shape, image.dtype) == ((1, 32, 96), np.float32)
    assert (label.shape, label.dtype) == ((9,), np.int64)
    count = int((label > 0).sum())
    assert 3 <= count <= 9
    assert (label[count:] == -1).all()
    assert image.std() > 0.05


def _user_s(folder: Path, train: str, images: tuple[str, ...] = ("a.png", "b.png")) -> dict[str, Any]:
    for index, name in enumerate(images):
        Image.new("RGB", (40 + 30 * index, 16), (255, 0, 0)).save(folder / name)
    (folder / "rec_gt_train.txt").write_text(train, encoding="utf-8")
    (folder / "rec_gt_test.txt").write_text("b.png\t42\n", encoding="utf-8")
    return {"folder": str(folder), "charset": "digits", "width": 100}


def test_a_user_s_lines_in_paddleocr_s_format(tmp_path: Path) -> None:
    args = _user_s(tmp_path, "a.png\t0199\r\nb.png\t7\n\n")
    train, test = load_data(Data(factory="secateur_jobs.data.text_lines:labelled", args=args), 1)
    assert (len(train), len(test)) == (2, 1)
    image, label = train[0]
    assert image.shape == (3, 32, 100)
    np.testing.assert_array_equal(label, [1, 2, 10, 10])
    np.testing.assert_array_equal(test[0][1], [5, 3, -1, -1])
    # 40x16 becomes 80x32, in the order BGR; the rest is padding
    np.testing.assert_allclose(image[:, 5, 5], [-1, -1, 1], atol=1e-6)
    assert (image[:, :, 80:] == 0).all()


@pytest.mark.parametrize(
    ("train", "error", "words"),
    [
        ("a.png 12\n", InvalidInput, "rec_gt_train.txt, line 1: 'a.png 12' has no tab"),
        ("a.png\t12\nb.png\t1x\n", InvalidInput, "line 2: 'x' in '1x' is not among the 10 characters"),
        ("a.png\t\n", InvalidInput, "line 1: a line without text"),
        ("c.png\t1\n", MissingData, "line 1: "),
        ("\n", InvalidInput, "lists no line"),
    ],
)
def test_a_user_s_lines_that_do_not_serve(
    tmp_path: Path, train: str, error: type[Exception], words: str
) -> None:
    args = _user_s(tmp_path, train)
    with pytest.raises(error) as caught:
        load_data(Data(factory="secateur_jobs.data.text_lines:labelled", args=args), 1)
    assert words in str(caught.value)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    args = _user_s(tmp_path, "a.png\t1\n")
    (tmp_path / "a.png").write_bytes(b"no image")
    train, _ = labelled(**args)
    with pytest.raises(ValueError, match=r"a\.png is no image"):
        train[0]


def test_the_loss_is_that_of_all_paths() -> None:
    """Two steps, the line ``a``: the paths are aa, -a and a-."""
    scores = np.log(np.array([[[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]]], np.float32))
    loss = loss_function(_CTC, Form(False, "0"))(read(paddle.to_tensor(scores)), np.array([[1, -1]]))
    assert float(loss) == pytest.approx(-np.log(0.3 * 0.3 + 0.5 * 0.3 + 0.3 * 0.6), rel=1e-5)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ([[1, 2, 11]], "classes are 1..10, 0 is the blank"),
        ([[0, 2, 3]], "classes are 1..10, 0 is the blank"),
        ([[1, -1, 3]], "padded within"),
        ([[-1, -1, -1]], "must have a character"),
        ([[2, 2, 2]], "needs 5 steps (one more between equal neighbours), the model's output has 4"),
        ([1, 2, 3], "need labels int64 [batch, longest]"),
    ],
)
def test_labels_that_ctc_cannot_learn_are_named(label: list[Any], words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_labels((1, 4, 11), np.array(label), _CTC)
    assert words in str(caught.value)
    assert caught.value.reason is Reason.DATASET_INVALID


def test_lines_and_cross_entropy_do_not_go_together() -> None:
    with pytest.raises(InvalidInput, match=r"spec\.evaluation\.loss: sequence_accuracy .* use ctc"):
        check_labels((1, 4, 11), np.array([[1]]), Evaluation(metric="sequence_accuracy"))


def test_a_recogniser_learns_is_measured_and_is_taught() -> None:
    seed_everything(0)
    model = Model(
        factory="secateur_jobs.zoo.ocr:crnn_mobile",
        args={"scale": 0.35, "hidden": 8, "channels": 1, "light": True},
        inputs=[InputSpec(name="image", shape=[1, 1, 32, 32])],
        pretrain=Pretrain(epochs=1),
    )
    net = build_model(model)
    learning, checked = splits(train_lines=96, eval_lines=20, length=(1, 1), width=32, hardness=0)
    losses = train(net, learning, _CTC, epochs=4, learning_rate=0.01, batch_size=16)
    assert losses[-1] < 0.8 * losses[0]
    similarity = Evaluation(metric="edit_similarity", loss="ctc", batch_size=7)

    def run(inputs: list[np.ndarray]) -> Outputs:
        return forward(net, inputs).arrays()

    assert evaluate_with(run, checked, similarity, 8).value() == pytest.approx(
        evaluate(net, checked, similarity)
    )
    images, labels = checked.arrays
    outputs = forward(net, [images])
    found = distillation_loss(outputs, outputs, labels, "0", _CTC, Distillation())
    assert float(found) == pytest.approx(0, abs=1e-6)
