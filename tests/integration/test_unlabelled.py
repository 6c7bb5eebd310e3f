"""An exported model and pictures, arrays or texts, nothing else: a smaller, measured model comes out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from secateur_jobs.data import sentences
from secateur_jobs.paddle_env import paddle
from tests.bench.job import run
from tests.integration.test_exported import written

pytestmark = [pytest.mark.paddle, pytest.mark.slow, pytest.mark.timeout(400)]
nn = paddle.nn
_TRAINED = 1000
_JOB = """apiVersion: secateur.dev/v1alpha1
kind: PruningJob
metadata: {name: digits}
spec:
  model:
    exported: {uri: MODEL}
    inputs: [{name: image, shape: [1, 1, 8, 8]}]
  data: DATA
  pruning: {target: {macs: 40%}, schedule: {rounds: 1, step: 0.6}}
  fineTune: {dataFraction: 1, epochs: 10}
  constraints: [{metric: accuracyDrop, max: 8%}]
  convert: [{format: onnx}]
  benchmark: [{format: onnx}]
"""


def _classifier() -> nn.Sequential:
    def block(channels: int, width: int, stride: int = 1) -> list[nn.Layer]:
        return [nn.Conv2D(channels, width, 3, stride, 1), nn.BatchNorm2D(width), nn.ReLU()]

    layers = [*block(1, 16), *block(16, 32, 2), *block(32, 64), nn.AdaptiveAvgPool2D(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(256, 10), nn.Softmax())


def _inputs() -> tuple[np.ndarray, np.ndarray]:
    pixels = (load_digits().images / 16 * 255).round().astype(np.uint8)
    return pixels, (pixels[:, None].astype(np.float32) / 255 - 0.5) / 0.5


_HALF = """import numpy as np
import paddle


class Rows(paddle.io.Dataset):
    def __init__(self, *columns):
        super().__init__()
        self.columns = columns

    def __getitem__(self, index):
        return tuple(column[index] for column in self.columns)

    def __len__(self):
        return len(self.columns[0])


def splits(file):
    arrays = np.load(file)
    return Rows(arrays["train"]), Rows(arrays["test"], arrays["labels"])
"""


@pytest.fixture(scope="module")
def holdings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the user has: an exported digits classifier, and pictures that it was not trained on."""
    folder = tmp_path_factory.mktemp("holdings")
    digits = load_digits()
    pixels, inputs = _inputs()
    paddle.seed(0)
    net, random = _classifier(), np.random.default_rng(0)
    optimizer = paddle.optimizer.AdamW(0.002, parameters=net.parameters())
    for _ in range(12):
        for batch in np.array_split(random.permutation(_TRAINED), 16):
            output = net(paddle.to_tensor(inputs[batch]))
            labels = paddle.to_tensor(digits.target[batch].astype(np.int64))
            nn.functional.nll_loss(paddle.log(output + 1e-9), labels).backward()
            optimizer.step()
            optimizer.clear_grad()
    written(net, folder)
    (folder / "pictures").mkdir()
    np.save(folder / "inputs.npy", inputs[_TRAINED:])
    for number in range(_TRAINED, len(pixels)):
        Image.fromarray(pixels[number]).save(folder / "pictures" / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("{images: {uri: FOLDER/pictures, mean: [0.5], std: [0.5]}}", "pictures"),
        ("{arrays: {uri: FOLDER/inputs.npy}}", "samples"),
    ],
)
def test_a_model_and_what_it_takes_are_enough(data: str, what: str, holdings: Path, tmp_path: Path) -> None:
    model = next(holdings.glob("inference.[jp]*[nl]"))
    text = _JOB.replace("MODEL", str(model)).replace("DATA", data).replace("FOLDER", str(holdings))
    assert len(text.splitlines()) <= 15
    status = run(yaml.safe_load(text), tmp_path)["status"]
    assert status["phase"] == "Succeeded", status["message"]
    assert status["resolvedSpec"]["evaluation"]["metric"] == "agreement"
    drop = next(one for one in status["constraints"] if one["metric"] == "accuracyDrop")
    assert drop["name"].startswith("agreement drop (accuracyDrop) <= 8%")
    (measured,) = status["benchmarks"]
    low, high = measured["dropInterval"]
    assert low < measured["drop"] < high
    assert status["preflight"]["baseline"]["metric"] == 1
    assert 0.9 < measured["pruned"]["metric"] < 1
    assert f"of 797 {what} 558 are trained on and 239 measured on" in status["preflight"]["notes"]
    card = next(one["uri"] for one in status["artifacts"] if one["kind"] == "card")
    body = Path(card.removeprefix("file://")).read_text().split("---\n")[2]
    assert "\n# digits\n\nNo labels were seen: the numbers are agreement" in body
    shutil.rmtree(tmp_path)


def test_labels_of_the_evaluation_set_alone_judge(holdings: Path, tmp_path: Path) -> None:
    model = next(holdings.glob("inference.[jp]*[nl]"))
    (_, inputs), labels = _inputs(), load_digits().target.astype(np.int64)
    np.savez(holdings / "half.npz", train=inputs[_TRAINED:1550], test=inputs[1550:], labels=labels[1550:])
    code = holdings / "code"
    code.mkdir()
    (code / "half.py").write_text(_HALF)
    data = "{factory: 'half:splits', args: {file: FOLDER/half.npz}}".replace("FOLDER", str(holdings))
    text = _JOB.replace("MODEL", str(model)).replace("DATA", data)
    status = run(yaml.safe_load(text), tmp_path, "--code", str(code))["status"]
    assert status["phase"] == "Succeeded", status["message"]
    preflight = status["preflight"]
    assert preflight["held"] == {"metric": 1.0, "samples": 110, "byAgreement": True}
    assert 0.85 < preflight["baseline"]["metric"] < 1
    assert preflight["notes"][0].startswith("the training set has no labels: ")
    drop = next(one for one in status["constraints"] if one["metric"] == "accuracyDrop")
    assert drop["name"].startswith("accuracyDrop <= 8%")
    (measured,) = status["benchmarks"]
    before, after = (measured[role]["metric"] for role in ("baseline", "pruned"))
    assert measured["drop"] == pytest.approx((before - after) / before)
    assert before == pytest.approx(preflight["baseline"]["metric"])
    (done,) = status["rounds"]
    assert done["outcome"]["drop"] == pytest.approx(1 - done["outcome"]["metricRecovered"])
    report = next(one["uri"] for one in status["artifacts"] if one["kind"] == "report")
    page = Path(report.removeprefix("file://")).read_text()
    assert "Agreement is measured on 110 items of the training data that nothing is trained on" in page
    assert "Relative drop of the agreement when one group alone is cut" in page
    assert "No labels were seen" not in page
    shutil.rmtree(tmp_path)


class Reader(nn.Layer):
    """Reads made-up reviews: token ids and a mask to probabilities of five classes."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(len(sentences.vocabulary()), 24)
        layers = [nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 16)]
        self.each, self.last = nn.Sequential(*layers), nn.Linear(16, 5)

    def forward(self, ids: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
        found = self.each(self.tokens(ids)) * mask.unsqueeze(-1)
        return nn.functional.softmax(self.last(found.mean(1)))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported reader, its vocabulary, and reviews that it was not trained on."""
    folder = tmp_path_factory.mktemp("reader")
    train, _ = sentences.splits(2000, 1)
    paddle.seed(0)
    net, random, (ids, labels) = Reader(), np.random.default_rng(0), train.arrays
    optimizer = paddle.optimizer.AdamW(0.003, parameters=net.parameters())
    for _ in range(6):
        for batch in np.array_split(random.permutation(len(ids)), 32):
            mask = paddle.to_tensor((ids[batch] > 0).astype(np.float32))
            output = net(paddle.to_tensor(ids[batch]), mask)
            nn.functional.nll_loss(paddle.log(output + 1e-9), paddle.to_tensor(labels[batch])).backward()
            optimizer.step()
            optimizer.clear_grad()
    net.eval()
    shapes = [("ids", "int64"), ("mask", "float32")]
    specs = [paddle.static.InputSpec([None, 32], dtype, name) for name, dtype in shapes]
    paddle.jit.save(net, str(folder / "inference"), input_spec=specs)
    sentences.write(folder, 1, 1200, seed=1)
    reviews = [line.partition("\t")[2] for line in (folder / "eval.tsv").read_text().splitlines()]
    (folder / "reviews.txt").write_text("\n".join(reviews))
    return folder


def test_an_exported_reader_and_texts_are_enough(reader: Path, tmp_path: Path) -> None:
    model = next(reader.glob("inference.[jp]*[nl]"))
    inputs = "[{name: ids, shape: [1, 32], dtype: int64}, {name: mask, shape: [1, 32]}]"
    data = f"{{lines: {{uri: {reader}/reviews.txt, vocabulary: {{uri: {reader}/vocab.txt}}}}}}"
    text = _JOB.replace("[{name: image, shape: [1, 1, 8, 8]}]", inputs).replace("DATA", data)
    text = text.replace("MODEL", str(model)).replace(
        "{macs: 40%},", "{macs: 40%}, protect: {first: 0.75, last: 0.75},"
    )
    status = run(yaml.safe_load(text), tmp_path)["status"]
    assert status["phase"] == "Succeeded", status["message"]
    assert "of 1200 texts 840 are trained on and 360 measured on" in status["preflight"]["notes"]
    assert 0.9 < status["benchmarks"][0]["pruned"]["metric"] <= 1
    assert status["resolvedSpec"]["data"]["lines"]["vocabulary"]["sha256"]
    shutil.rmtree(tmp_path)
