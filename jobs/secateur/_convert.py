"""Convert a network for a phone, and compare two converted models."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Unpack

import numpy as np

from secateur._arguments import (
    Data,
    Inputs,
    Judging,
    dataset_of,
    evaluation_of,
    input_specs,
    plain_errors,
)
from secateur_api.quantity import show_bytes, show_seconds
from secateur_api.spec import Backend, Convert, Format, InputSpec
from secateur_jobs.conversion import toolchain
from secateur_jobs.conversion.batches import Batch, first_batches
from secateur_jobs.conversion.convert import convert_checked, reference_outputs
from secateur_jobs.conversion.export import export as to_program
from secateur_jobs.measure.accuracy import measure_pair
from secateur_jobs.measure.statistics import percentile, speedup
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.proof import sample_inputs
from secateur_jobs.training.outputs import Structure

__all__ = ["Comparison", "Exported", "benchmark", "export"]

_CHECKED = 4


@dataclass(frozen=True)
class Exported:
    """A converted model."""

    path: Path
    bytes: int
    """Size of the file."""
    parity: float | None
    """The largest difference from Paddle's outputs on the same inputs, relative to the largest output.

    None for ``arm``, which does not run on this machine."""
    inputs: tuple[InputSpec, ...]
    outputs: Structure
    """The structure that ``forward`` returns, with the outputs' names in place of tensors."""


@dataclass(frozen=True)
class Comparison:
    """Two converted models, measured in turn on one thread of this machine.

    In each pair the number of ``before`` is first.
    """

    p50_seconds: tuple[float, float]
    """Median latency of one run."""
    p90_seconds: tuple[float, float]
    speedup: float
    """The latency of ``before`` divided by that of ``after``: the median over pairs of adjacent runs."""
    runs: int
    """Timed runs of each model."""
    peak_bytes: tuple[int, int]
    """Largest resident set of a process that runs only that model, with its interpreter and runtime."""
    bytes: tuple[int, int]
    """Size of the files."""
    metrics: tuple[float, float]
    """The metric on the whole data set."""
    drop: float
    """(before - after) / before of the metric; (after - before) / before if smaller is better."""
    drop_interval: tuple[float, float] | None
    """The 95 % interval of the drop, paired over the samples; None if the metric is your function."""

    def __str__(self) -> str:
        interval = ""
        if self.drop_interval is not None:
            interval = f" (95 %: {self.drop_interval[0]:.2%} to {self.drop_interval[1]:.2%})"
        (fast, slow), (first, second) = map(show_seconds, self.p50_seconds), map(show_bytes, self.bytes)
        return (
            f"latency p50 {fast} -> {slow} ({self.speedup:.2f}x), file {first} -> {second}, "
            f"metric {self.metrics[0]:.4f} -> {self.metrics[1]:.4f}, drop {self.drop:.2%}{interval}"
        )


@plain_errors
def export(
    net: paddle.nn.Layer,
    inputs: Inputs,
    path: str | Path,
    *,
    backend: Literal["arm", "x86"] = "arm",
    data: Data | None = None,
) -> Exported:
    """Convert ``net`` and write it to ``path``: Paddle Lite for ``.nb``, ONNX for ``.onnx``.

    ``backend`` is for Paddle Lite: ``arm`` runs on a phone, ``x86`` on this machine, where :func:`benchmark`
    can measure it. A model that runs on this machine must give Paddle's outputs on four batches of ``data``
    (default: random inputs), within 1e-4 of the largest output. Paddle Lite needs a Python 3.10 that has
    ``paddlelite``: ``.venv-lite`` beside this environment, or the interpreter that SECATEUR_LITE_PYTHON
    names.

    Raises ValueError for an operator that the format does not have (and names it), or for another suffix.

    >>> import secateur, tempfile
    >>> from paddle.vision.models import LeNet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     exported = secateur.export(LeNet(), [("image", (1, 1, 28, 28))], folder + "/lenet.onnx")
    >>> exported.parity < 1e-4
    True
    """
    specs, path = input_specs(inputs), Path(path)
    target = _target(path, backend)
    toolchain.require([target])
    with tempfile.TemporaryDirectory(prefix="secateur-export-") as scratch:
        folder = Path(scratch)
        samples = _samples(specs, data)
        reference = reference_outputs(net, samples)
        program = to_program(net, specs, folder)
        made, parity = convert_checked(program, target, specs, samples, reference, "the model", folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, path)
    return Exported(
        path=path,
        bytes=path.stat().st_size,
        parity=None if parity is None else parity.max_rel,
        inputs=tuple(specs),
        outputs=reference[0].structure,
    )


@plain_errors
def benchmark(
    before: Exported,
    after: Exported,
    data: Data,
    *,
    runs: int = 200,
    warmup: int = 20,
    **judging: Unpack[Judging],
) -> Comparison:
    """Compare two converted models (``.nb`` of backend ``x86``, or ``.onnx``).

    The models run in turn on one thread, at the declared batch size: ``warmup`` runs of each, then ``runs``
    timed ones. Then the metric of both is measured on ``data``. ``judging``: see :class:`Judging`. Raises
    ValueError if inputs or outputs differ, or if a model does not run on this machine.

    >>> import numpy as np, secateur, tempfile
    >>> from paddle.vision.models import LeNet
    >>> images, labels = np.zeros((8, 1, 28, 28), "float32"), np.zeros(8, "int64")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     one = secateur.export(LeNet(), [("image", (1, 1, 28, 28))], folder + "/lenet.onnx")
    ...     found = secateur.benchmark(one, one, (images, labels), runs=20)
    >>> found.drop, found.runs
    (0.0, 20)
    """
    if (before.inputs, before.outputs) != (after.inputs, after.outputs):
        raise ValueError("before and after have different inputs or outputs; give two models of one network")
    if before.path.suffix != after.path.suffix:
        raise ValueError(
            f"before is {before.path.suffix}, after {after.path.suffix}; convert both to one format"
        )
    for name, model in (("before", before), ("after", after)):
        if model.parity is None:
            raise ValueError(f"{name} is for arm, which does not run here; export it with backend='x86'")
    specs = list(before.inputs)
    with tempfile.TemporaryDirectory(prefix="secateur-benchmark-") as scratch:
        found = measure_pair(
            (before.path.absolute(), after.path.absolute()),
            specs,
            before.outputs,
            evaluation_of(judging),
            dataset_of(data, specs),
            warmup=warmup,
            runs=runs,
            scratch=Path(scratch),
            say=lambda share, step: None,
        )
    first, second = found.samples.baseline_seconds, found.samples.pruned_seconds
    return Comparison(
        p50_seconds=(percentile(first, 50), percentile(second, 50)),
        p90_seconds=(percentile(first, 90), percentile(second, 90)),
        speedup=speedup(first, second),
        runs=len(second),
        peak_bytes=found.peak_bytes,
        bytes=(before.bytes, after.bytes),
        metrics=found.metrics,
        drop=found.drop,
        drop_interval=found.drop_interval,
    )


def _target(path: Path, backend: str) -> Convert:
    if path.suffix == ".onnx":
        return Convert(format=Format.ONNX)
    if path.suffix != ".nb":
        raise ValueError(f"path {str(path)!r} must end in .nb (Paddle Lite) or .onnx")
    if backend not in {known.value for known in Backend}:
        raise ValueError(f"backend must be 'arm' or 'x86', not {backend!r}")
    return Convert(format=Format.PADDLE_LITE, backend=Backend(backend))


def _samples(specs: list[InputSpec], data: Data | None) -> list[Batch]:
    if data is not None:
        return first_batches(dataset_of(data, specs), specs, _CHECKED)
    size = specs[0].shape[0]
    return [
        [np.ascontiguousarray(array) for array in sample_inputs(specs, seed, size)]
        for seed in range(_CHECKED)
    ]
