"""ONNX models in int8 and fp16: ``python -m tests.bench.precision.onnx [--nets ...] [--trained ...]``.

Bytes and time are those of networks with random weights and the statistics of trained ones, each form timed
against the float32 file, interleaved, several times over: the speed-up's median, and the least and the most.
What is lost is told by the examples' nets, trained as their jobs say (kept in ``--home``) and judged by their
metric on their evaluation set, with ranges of training items.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from secateur_api import parse_job
from secateur_api.spec import Convert, DType, Format, InputSpec, PruningJobSpec
from secateur_jobs.conversion import to_onnx
from secateur_jobs.conversion.batches import Batch, first_batches
from secateur_jobs.conversion.convert import reference_outputs
from secateur_jobs.conversion.export import Exported, export
from secateur_jobs.conversion.onnx_gates import Judged, judge
from secateur_jobs.conversion.onnx_precision import Calibration, Form, forms, quantized, weights_of
from secateur_jobs.measure.accuracy import converted_tally
from secateur_jobs.measure.latency import compare
from secateur_jobs.measure.statistics import percentile, speedup
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.batchnorm import recalibrate
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.train import train
from secateur_jobs.user_code import Splits, build_model, load_data
from secateur_jobs.zoo.ernie import ernie_classifier
from secateur_jobs.zoo.ocr import crnn_mobile
from tests.bench.cluster.report import machine, table
from tests.bench.job import job
from tests.jobs.statistics import like_trained

nn = paddle.nn
VOCABULARY = 8000
CALIBRATION, JUDGED = 100, 200


class Recurrent(nn.Layer):
    """Columns of a line to scores, through a bidirectional LSTM alone: PP-OCR's neck and head."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.columns = nn.Conv2D(3, hidden, (32, 4), stride=(32, 4))
        self.lstm = nn.LSTM(hidden, hidden, num_layers=2, direction="bidirectional")
        self.fc = nn.Linear(2 * hidden, 11)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(self.lstm(self.columns(x).squeeze(2).transpose([0, 2, 1]))[0])


def _encoder() -> nn.Layer:
    return ernie_classifier(vocab_size=VOCABULARY, hidden=128, layers=2, heads=4, ffn=512, positions=128)


_VISION = paddle.vision.models
_LINE, _PICTURE = [1, 3, 32, 320], [1, 3, 224, 224]
NETS: dict[str, tuple[Callable[[], nn.Layer], list[int]]] = {
    "encoder (2 layers of 128)": (_encoder, [1, 32]),
    "ernie-3.0-nano": (ernie_classifier, [1, 64]),
    "BiLSTM of 48": (lambda: Recurrent(48), _LINE),
    "BiLSTM of 256": (lambda: Recurrent(256), _LINE),
    "CRNN (crnn_mobile)": (crnn_mobile, _LINE),
    "mobilenet_v3_small": (_VISION.mobilenet_v3_small, _PICTURE),
    "mobilenet_v2": (_VISION.mobilenet_v2, _PICTURE),
    "mobilenet_v1": (_VISION.mobilenet_v1, _PICTURE),
    "resnet18": (_VISION.resnet18, _PICTURE),
}
TRAINED = ("digits", "mobilenet-v1", "mobilenet-v2", "mobilenet-v3", "ernie-textcls", "idcard-ocr")


def converted(net: nn.Layer, inputs: list[InputSpec], folder: Path) -> tuple[Path, Exported]:
    """Return the ONNX file and what it was made of."""
    exported = export(net, inputs, folder)
    return to_onnx.convert(exported, Convert(format=Format.ONNX), folder), exported


def variants(
    path: Path, samples: list[Batch], folder: Path, kinds: list[Calibration]
) -> Iterator[tuple[str, Path]]:
    """Yield the forms that a model can have, each with its file."""
    weights = weights_of(path, folder)
    ways = {
        "folded": ({}, Calibration.MINMAX),
        "fp16 stored": (dict.fromkeys(forms(weights), Form.STORED_FP16), Calibration.MINMAX),
        "int8 stored": (forms(weights, computed=False), Calibration.MINMAX),
        "int8": (forms(weights), Calibration.MINMAX),
    }
    if any(one.kind.value == "conv" for one in weights):
        ways |= {
            f"int8 and activations, {kind.value}": (forms(weights, activations=True), kind) for kind in kinds
        }
    for name, (chosen, kind) in ways.items():
        yield name, quantized(path, folder, chosen, samples, kind)


def judged(path: Path, original: Path, inputs: list[InputSpec], samples: list[Batch], folder: Path) -> Judged:
    """Compare without bounds; still refused: no smaller, not finite, not the same twice."""
    return judge(path, original, inputs, samples, folder, largest_difference=math.inf, least_agreement=0.0)


def speed(name: str, repeats: int, runs: int) -> Iterator[list[object]]:
    """Yield the rows of one of :data:`NETS`."""
    build, shape = NETS[name]
    seed_everything(0)
    net = like_trained(build())
    is_text = len(shape) == 2
    inputs = [InputSpec(name="x", shape=shape, dtype=DType.INT64 if is_text else DType.FLOAT32)]
    random = np.random.default_rng(0)
    samples: list[Batch] = [
        [
            random.integers(1, VOCABULARY, shape)
            if is_text
            else random.standard_normal(shape).astype("float32")
        ]
        for _ in range(8)
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path, _ = converted(net, inputs, folder)
        folded = 0
        for form, file in variants(path, samples, folder, [Calibration.PERCENTILE]):
            folded = folded or file.stat().st_size
            found = judged(file, path, inputs, samples, folder)
            timed = [
                compare(
                    path,
                    file,
                    inputs,
                    samples[0],
                    warmup=10,
                    runs=runs,
                    scratch=folder,
                    report=lambda share: None,
                )
                for _ in range(repeats)
            ]
            ratios = [speedup(one.baseline_seconds, one.pruned_seconds) for one in timed]
            p50s = [
                1000 * percentile([s for one in timed for s in getattr(one, f"{role}_seconds")], 50)
                for role in ("baseline", "pruned")
            ]
            yield [
                name,
                form,
                f"{found.float_bytes / 1000:.0f} -> {found.bytes / 1000:.0f}",
                f"{100 * (found.bytes / found.float_bytes - 1):.1f} ({100 * (found.bytes / folded - 1):.1f})",
                f"{p50s[0]:.3f} -> {p50s[1]:.3f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                f"{found.difference:.1e}",
                f"{found.agreement:.3f}",
            ]


def trained(spec: PruningJobSpec, data: Splits, file: Path) -> nn.Layer:
    """Return a job's baseline; its file is made where it is not there."""
    seed_everything(spec.seed)
    net, settings = build_model(spec.model), spec.model.pretrain
    if file.exists():
        net.set_state_dict(dict(np.load(file)))
    elif settings is not None:
        train(
            net,
            data.train,
            spec.evaluation,
            epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            batch_size=settings.batch_size,
            seed=spec.seed,
        )
        recalibrate(net, data.train, 100, settings.batch_size, spec.seed)
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **{key: value.numpy() for key, value in net.state_dict().items()})
    net.eval()
    return net


def loss(example: str, home: Path) -> Iterator[list[object]]:
    """Yield the rows of one of :data:`TRAINED`."""
    spec = parse_job(job(f"examples/{example}.yaml")).spec
    inputs, data = spec.model.inputs, load_data(spec.data, len(spec.model.inputs))
    net = trained(spec, data, home / f"{example}.npz")
    calibration, samples = (
        first_batches(one, inputs, count) for one, count in ((data.train, CALIBRATION), (data.eval, JUDGED))
    )
    structure = reference_outputs(net, samples[:1])[0].structure
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path, _ = converted(net, inputs, folder)

        def metric(file: Path) -> float:
            tally = converted_tally(
                file, structure, inputs, spec.evaluation, data.eval, folder, lambda share: None
            )
            return 100 * tally.value()

        before = metric(path)
        for form, file in variants(path, calibration, folder, list(Calibration)):
            found, after = judged(file, path, inputs, samples, folder), metric(file)
            yield [
                example,
                form,
                f"{100 * (found.bytes / found.float_bytes - 1):.1f}",
                f"{before:.2f} -> {after:.2f}",
                f"{before - after:+.2f}",
                f"{found.difference:.1e}",
                f"{found.agreement:.4f}",
            ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="*", default=list(NETS), choices=list(NETS))
    parser.add_argument("--trained", nargs="*", default=list(TRAINED), choices=list(TRAINED))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--home", type=Path, default=Path(".secateur/bench/precision"))
    options = parser.parse_args()
    print(machine(), flush=True)
    head = ["net", "form", "kB", "% (of what is folded)", "p50 ms", "speed-up", "difference", "agreement"]
    print("\n" + table(head, []), flush=True)
    for name in options.nets:
        for row in speed(name, options.repeats, options.runs):
            print(f"| {' | '.join(map(str, row))} |", flush=True)
    head = ["net", "form", "bytes %", "metric %", "points lost", "difference", "agreement"]
    print("\n" + table(head, []), flush=True)
    for example in options.trained:
        for row in loss(example, options.home):
            print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()
