"""``secateur inspect`` and ``secateur init`` as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from secateur_api import parse_job
from secateur_api.spec import Arrays, Data, Labels
from secateur_jobs.paddle_env import paddle
from tests.integration.real import CODE
from tests.integration.test_exported import written

pytestmark = pytest.mark.paddle
nn = paddle.nn


def say(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "secateur_operator.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def holdings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported classifier in a folder of its own, and pictures."""
    folder = tmp_path_factory.mktemp("holdings")
    (folder / "digits").mkdir()
    (folder / "pictures").mkdir()
    layers = [nn.Conv2D(1, 16, 3), nn.ReLU(), nn.Conv2D(16, 16, 3), nn.ReLU(), nn.Conv2D(16, 16, 3)]
    layers += [nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(16, 4), nn.Softmax()]
    written(nn.Sequential(*layers), folder / "digits")
    for number in range(3):
        Image.new("L", (8, 8), number).save(folder / "pictures" / f"{number}.png")
    return folder


def model_in(folder: Path) -> str:
    return str(next((folder / "digits").glob("inference.[jp]*[nl]")).relative_to(folder))


def test_a_file_is_shown_with_each_layer(holdings: Path) -> None:
    shown = say(holdings, "inspect", model_in(holdings))
    assert shown.returncode == 0, shown.stderr
    assert "image [1, 1, 8, 8] float32" in shown.stdout
    assert "equal to the file within" in shown.stdout
    found = json.loads(say(holdings, "inspect", model_in(holdings), "-o", "json").stdout)
    assert [group["channels"] for group in found["groups"]] == [16, 16, 16]
    assert all(name in shown.stdout for name in [found["refused"][0]["layer"], found["groups"][0]["name"]])
    assert found["difference"] <= 1e-5


def test_a_factory_of_ones_own_is_shown(tmp_path: Path) -> None:
    words = ("inspect", "tiny:Tiny", "--code", str(CODE), "--input", "image=1x1x8x8", "-o", "json")
    shown = say(tmp_path, *words)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["groups"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.tflite"], "MODEL 'model.tflite' is neither an exported file"),
        (["nowhere.onnx"], "MODEL: there is no file nowhere.onnx"),
        (["tiny:Tiny"], "--input is missing: a factory does not say what its network takes"),
        (["tiny:Tiny", "--input", "image=1,8"], "--input 'image=1,8' is no name=shape"),
        (["tiny:Tiny", "--input", "image=1x0"], "--input 'image=1x0': input should be greater"),
        (["tiny:Tiny", "--input", "i=1", "--arg", "4"], "--arg '4' is no name=value"),
        (["tiny:Tiny", "--input", "i=1", "--code", "nowhere"], "--code: cannot read "),
        (["nowhere.onnx", "--arg", "a=1"], "--arg and --code are a factory's"),
        (["notthere:Net", "--input", "i=1"], "MODEL: there is no module 'notthere'"),
    ],
)
def test_what_is_no_model_is_refused_in_a_sentence(words: list[str], said: str, tmp_path: Path) -> None:
    refused = say(tmp_path, "inspect", *words)
    assert refused.returncode == 2
    assert refused.stderr.startswith(said)
    assert refused.stderr.count("\n") == 1
    assert refused.stdout == ""


def test_a_job_is_written_that_is_valid_short_and_beside_its_files(holdings: Path, tmp_path: Path) -> None:
    (holdings / "jobs").mkdir()
    words = ["init", model_in(holdings), "--images", "pictures", "-o", "jobs/first.yaml"]
    refused = say(holdings, *words)
    assert refused.returncode == 2
    assert refused.stderr.startswith("--images: mean and std are missing")
    assert not list((holdings / "jobs").iterdir())
    done = say(holdings, *words, "--mean", "0.5", "--std", "0.5")
    assert done.returncode == 0, done.stderr
    for line in ("wrote jobs/first.yaml", "of 3 pictures 2 are trained on and 1 measured on", "you decide:"):
        assert line in done.stdout.splitlines()
    file = holdings / "jobs" / "first.yaml"
    assert len(file.read_text().splitlines()) <= 15
    spec = parse_job(yaml.safe_load(file.read_text())).spec
    assert spec.model.exported is not None
    assert (file.parent / spec.model.exported.uri).samefile(holdings / model_in(holdings))
    assert spec.data.images is not None
    assert (file.parent / spec.data.images.uri).samefile(holdings / "pictures")
    assert spec.evaluation.form == "classes"
    assert say(holdings, "validate", str(file)).returncode == 0
    again = say(holdings, *words, "--mean", "0.5", "--std", "0.5")
    assert (again.returncode, again.stderr.split(";")[0]) == (2, "jobs/first.yaml is there already")


def test_a_job_for_pictures_with_labels_judges_by_them(holdings: Path) -> None:
    (holdings / "listed").mkdir()
    words = ["init", model_in(holdings), "-o", "listed/first.yaml", "--labels", "list.txt"]
    refused = say(holdings, *words, "--arrays", "inputs.npy")
    assert refused.stderr == "--labels says of what class pictures are; give --images too\n"
    words += ["--images", "pictures", "--mean", "0.5", "--std", "0.5"]
    assert say(holdings, *words).stderr.startswith("--labels: there is no file")
    for last, said in (("cat", "--labels: "), ("4", "--images: the ")):
        (holdings / "list.txt").write_text(f"0.png 0\n1.png 3\n2.png {last}\n")
        assert say(holdings, *words).stderr.startswith(said)
    (holdings / "list.txt").write_text("0.png 0\n1.png 3\n2.png 1\n")
    done = say(holdings, *words)
    assert done.returncode == 0, done.stderr
    file = holdings / "listed" / "first.yaml"
    spec = parse_job(yaml.safe_load(file.read_text())).spec
    assert spec.data.images is not None
    assert spec.data.images.labels == Labels(uri="../list.txt")
    assert (spec.evaluation.metric, spec.evaluation.form) == ("accuracy", None)
    assert say(holdings, "validate", str(file)).returncode == 0


def test_a_job_for_arrays_names_them_beside_itself(holdings: Path) -> None:
    random = np.random.default_rng(0)
    for name, shape in (("inputs", (3, 1, 8, 8)), ("wrong", (3, 8, 8))):
        np.save(holdings / f"{name}.npy", random.standard_normal(shape).astype(np.float32))
    (holdings / "arrays").mkdir()
    words = ["init", model_in(holdings), "-o", "arrays/first.yaml", "--arrays"]
    for file, said in (
        ("none.npy", "--arrays: there is no file"),
        ("wrong.npy", f"--arrays: {holdings / 'wrong.npy'} has shape [3, 8, 8]"),
        ("inputs.txt", "--arrays: arrays.uri must end in .npz, or in .npy"),
    ):
        refused = say(holdings, *words, file)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert refused.stderr.startswith(said)
    done = say(holdings, *words, "inputs.npy")
    assert done.returncode == 0, done.stderr
    assert "of 3 samples 2 are trained on and 1 measured on" in done.stdout.splitlines()
    spec = parse_job(yaml.safe_load((holdings / "arrays" / "first.yaml").read_text())).spec
    assert spec.data == Data(arrays=Arrays(uri="../inputs.npy"))


def test_a_job_for_texts_needs_their_vocabulary(holdings: Path) -> None:
    words = ["init", model_in(holdings), "-o", "texts.yaml", "--lines", "texts.txt"]
    for more, said in (
        ([], "--lines and --vocabulary come together"),
        (["--arrays", "inputs.npy"], "--arrays and --lines: give one of them"),
        (["--vocabulary", "vocab.txt"], "data.lines needs model.inputs [batch, length], such as [1, 64]"),
    ):
        refused = say(holdings, *words, *more)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert said in refused.stderr


def test_a_job_for_a_factory_asks_for_what_it_cannot_know(tmp_path: Path) -> None:
    words = ["init", "tiny:Tiny", "--code", str(CODE), "--input", "image=1x1x8x8"]
    for more, said in (
        ([], "data are missing: give --images FOLDER"),
        (["--data", "tiny:splits"], "weights are missing: give --weights FILE, or --trained"),
        (["--data", "tiny:splits", "--trained", "--weights", "w.npz"], "--weights and --trained: give one"),
        (["--data", "tiny:splits", "--mean", "0.5"], "--mean and --std say how pictures are prepared"),
    ):
        refused = say(tmp_path, *words, *more)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert refused.stderr.startswith(said)
    done = say(tmp_path, *words, "--data", "tiny:splits", "--trained")
    assert done.returncode == 0, done.stderr
    assert f"next: secateur run job.yaml --code {CODE}" in done.stdout.splitlines()
    job = parse_job(yaml.safe_load((tmp_path / "job.yaml").read_text()))
    assert (job.metadata.name, job.spec.model.trained) == ("tiny", True)
