"""What ``inspect`` finds in a model, and each model that it cannot use refused in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import secateur
from secateur_api.inspection import InspectionRequest
from secateur_api.spec import AnswerForm, Data, Exported, Images, InputSpec, Labels
from secateur_jobs.inspection import inspected
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.runtime.errors import StageError
from tests.jobs.test_graph_onnx import BRANCH, drawn, saved
from tests.jobs.test_training_heads import Guided, WithLoss

pytestmark = pytest.mark.paddle
nn = paddle.nn


def written(folder: Path, channels: int = 8, shape: tuple[int | None, ...] = (None, 3, 16, 16)) -> Path:
    """Export a small classifier, its input x."""
    layers = [nn.Conv2D(3, channels, 3), nn.ReLU(), nn.Conv2D(channels, 8, 3), nn.AdaptiveAvgPool2D(1)]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 4), nn.Softmax())
    net.eval()
    with paddle.utils.unique_name.guard():
        spec = paddle.static.InputSpec(list(shape), "float32", "x")
        paddle.jit.save(net, str(folder / "inference"), input_spec=[spec])
    return folder / "inference.pdmodel"


def asked(file: Path, **more: object) -> InspectionRequest:
    return InspectionRequest.model_validate({"exported": Exported(uri=str(file)), **more})


def test_a_file_says_what_it_is_and_what_can_be_cut(tmp_path: Path) -> None:
    file = written(tmp_path)
    found = inspected(asked(file))
    assert [(one.name, one.shape) for one in found.inputs] == [("x", [1, 3, 16, 16])]
    assert [(one.name, one.shape, one.form) for one in found.outputs] == [("0", [1, 4], AnswerForm.CLASSES)]
    assert found.macs == 14 * 14 * 8 * 27 + 12 * 12 * 8 * 72 + 8 * 4
    assert found.params == 8 * 28 + 8 * 73 + 9 * 4
    assert found.file_bytes == file.stat().st_size + file.with_suffix(".pdiparams").stat().st_size
    assert found.difference is not None
    assert found.difference <= 1e-5
    assert [group.channels for group in found.groups] == [8, 8]
    (head,) = found.refused
    assert "the model's output" in head.reason
    assert found.most.macs == pytest.approx(1 - (14 * 14 * 2 * 27 + 12 * 12 * 2 * 18 + 2 * 4) / found.macs)
    assert found.by_default.macs is not None
    assert found.by_default.macs < found.most.macs


def test_a_size_that_is_open_is_asked_for_by_its_option_and_taken_from_it(tmp_path: Path) -> None:
    file = written(tmp_path, shape=(None, 3, None, None))
    with pytest.raises(StageError, match=r"input x is \[-1, 3, -1, -1\].* --input x=1x3x320x320$"):
        inspected(asked(file))
    given = InputSpec(name="x", shape=[1, 3, 20, 24])
    found = inspected(asked(file, inputs=[given]))
    assert found.inputs == [given]
    with pytest.raises(StageError, match=r"there is no input image; the model has x \[-1, 3, -1, -1\]"):
        inspected(asked(file, inputs=[InputSpec(name="image", shape=[1, 3, 20, 24])]))


def test_pictures_are_read_and_their_preparation_is_shown(tmp_path: Path) -> None:
    from PIL import Image

    file, folder = written(tmp_path), tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(folder / f"{number}.png")
    with pytest.raises(StageError, match=r"spec\.data\.images: mean and std are missing"):
        inspected(asked(file, data=Data(images=Images(uri=str(folder)))))
    found = inspected(asked(file, data=Data(images=Images(uri=str(folder), mean=[0.5], std=[0.5])))).data
    assert found is not None
    assert found.form is AnswerForm.CLASSES
    assert found.notes[0] == "of 4 pictures 3 are trained on and 1 measured on"
    assert "mean [0.5], std [0.5]" in found.notes[1]


def test_labels_of_pictures_are_checked_against_the_model(tmp_path: Path) -> None:
    from PIL import Image

    file, folder = written(tmp_path), tmp_path / "pictures"
    for part, count in (("train", 3), ("val", 2)):
        (folder / part).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (20, 20), (number, 0, 0)).save(folder / part / f"{number}.png")
    images = Images(uri=str(folder), mean=[0.5], std=[0.5], labels=Labels(uri=str(tmp_path / "list.txt")))
    (tmp_path / "list.txt").write_text("val/0.png 3\nval/1.png 4\n")
    said = r"^spec\.data\.images: the eval set, item 1: label 4 is out of range: the model has 4 outputs"
    with pytest.raises(StageError, match=said):
        inspected(asked(file, data=Data(images=images)))
    (tmp_path / "list.txt").write_text("val/0.png 3\nval/1.png 0\n")
    found = inspected(asked(file, data=Data(images=images))).data
    assert found is not None
    assert found.form is None
    assert "the training set has no labels" in found.notes[0]
    assert found.notes[1] == "of 5 pictures 3 are trained on and 2 measured on"


def cut_short(file: Path) -> None:
    params = file.with_suffix(".pdiparams")
    params.write_bytes(params.read_bytes()[:-5])


def of_another(file: Path) -> None:
    folder = file.parent / "other"
    folder.mkdir()
    written(folder, channels=16)
    file.with_suffix(".pdiparams").write_bytes((folder / "inference.pdiparams").read_bytes())


def test_weights_of_another_export_are_refused_in_the_newer_form_too(tmp_path: Path) -> None:
    """Paddle reads them without a word, and answers as the other model."""
    for name, channels in (("this", 8), ("other", 16)):
        program = f"""
            import paddle
            nn = paddle.nn
            layers = nn.Conv2D(3, {channels}, 3), nn.AdaptiveAvgPool2D(1), nn.Flatten()
            net = nn.Sequential(*layers, nn.Linear({channels}, 2))
            net.eval()
            spec = paddle.static.InputSpec([None, 3, 16, 16], "float32", "x")
            paddle.jit.save(net, "{name}", input_spec=[spec])
        """
        environment = {**os.environ, "FLAGS_enable_pir_api": "1"}
        command = [sys.executable, "-c", textwrap.dedent(program)]
        subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "other.pdiparams").replace(tmp_path / "this.pdiparams")
    with pytest.raises(StageError, match=r"is \[16\S*.*, and \[8.* in the program; take both files of one"):
        inspected(asked(tmp_path / "this.json"))


def half_a_program(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:300])


def without_params(file: Path) -> None:
    file.with_suffix(".pdiparams").unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_short, "inference.pdiparams is cut short"),
        (
            of_another,
            r"weight .* is \[16, .*, and \[8, .* in the program; take both files of one export",
        ),
        (half_a_program, "inference.pdmodel is no whole program of Paddle; copy it anew"),
        (without_params, "there is no file .*inference.pdiparams"),
    ],
)
def test_files_that_are_not_whole_are_refused(
    damage: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    file = written(tmp_path)
    damage(file)
    with pytest.raises(StageError, match=said) as refused:
        inspected(asked(file))
    assert "\n" not in refused.value.message
    assert str(file.with_suffix("")) in refused.value.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("y = other.Wave(x)", "operator other.Wave .* is of a custom domain"),
        (BRANCH, "operator If .* holds a graph of its own"),
        ("q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z)", "is quantised; give the model"),
        ("y = NonZero(x)", "makes a shape that depends on the data"),
    ],
)
def test_an_onnx_file_that_cannot_be_rebuilt_is_refused_by_operator(
    body: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(StageError, match=rf"net\.onnx cannot be read: .*{said}"):
        inspected(asked(saved(tmp_path, body, {"zero": np.array(0, "float32")})))


def test_weights_that_are_missing_beside_an_onnx_file_are_said(tmp_path: Path) -> None:
    file = saved(tmp_path, "y = Conv(x, w)", drawn(w=[64, 4, 3, 3]))
    onnx.save_model(onnx.load(file), file, save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(StageError, match=r"its weights are in w\.bin, which is missing beside it"):
        inspected(asked(file))


def test_a_factory_is_looked_at_as_well_and_its_forward_is_explained() -> None:
    shape = InputSpec(name="image", shape=[1, 1, 28, 28])
    request = InspectionRequest(factory="paddle.vision.models:LeNet", args={"num_classes": 4}, inputs=[shape])
    found = inspected(request)
    assert found.outputs[0].shape == [1, 4]
    assert found.difference is None
    assert [group.name for group in found.groups] == ["features.0", "features.3", "fc.0", "fc.1"]
    wrong = request.model_copy(update={"inputs": [InputSpec(name="image", shape=[1, 3, 28, 28])]})
    with pytest.raises(StageError, match=r"on image \[1, 3, 28, 28\] the model's forward raised ValueError"):
        inspected(wrong)


def test_a_network_that_needs_labels_in_training_is_looked_at_as_it_infers() -> None:
    said = "forward needs labels in training, and there are none here: inference alone was looked at"
    found = inspected(
        InspectionRequest(
            factory="tests.jobs.test_training_heads:Guided", inputs=[InputSpec(name="x", shape=[1, 6])]
        )
    )
    assert [group.name for group in found.groups] == ["body.0"]
    assert {one.layer: one.reason for one in found.refused} == {
        "main": "its channels are the model's output (head layer)",
        "guide": "inference does not use it",
    }
    assert said in " ".join(found.notes)
    net = Guided()
    before = [tensor.numpy() for tensor in net.state_dict().values()]
    group = secateur.inspect(net, [("x", (1, 6))])
    assert [one.consumers for one in group.groups] == [("main",)]
    assert said in str(group)
    assert net.training
    assert all(map(np.array_equal, before, (tensor.numpy() for tensor in net.state_dict().values())))
    labels = np.zeros(1, np.int64)
    with_labels = NativeEngine(net, [InputSpec(name="x", shape=[1, 6])], labels)
    assert not with_labels.training_unseen
    assert [one.name for one in with_labels.groups] == ["body.0"]
    assert not secateur.inspect(WithLoss(), [("x", (1, 6))]).notes  # it trains without them


def test_a_network_that_cannot_train_for_another_reason_is_refused_as_before() -> None:
    with pytest.raises(StageError, match=r"no layer of the model can be cut: .*ValueError: no truth"):
        inspected(
            InspectionRequest(
                factory="tests.jobs.test_training_heads:Demanding", inputs=[InputSpec(name="x", shape=[1, 6])]
            )
        )
