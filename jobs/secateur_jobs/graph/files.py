"""An exported model's files as a network that is proven to answer as they do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy

from secateur_jobs.graph.examples import Shapes, inputs_file, outputs_file
from secateur_jobs.graph.network import GraphNetwork, UnknownOperator
from secateur_jobs.graph.params import is_cut_short
from secateur_jobs.graph.program import read
from secateur_jobs.paddle_env import paddle

TOLERANCE = 1e-5
"""Largest allowed difference from the original's outputs, relative to the largest of them."""
_LIMIT_SECONDS = 300


class NotRebuilt(ValueError):
    """Files, or a network, cannot be rebuilt as a graph; the message says why."""


def rebuild(model: Path, shapes: Shapes, scratch: Path) -> tuple[GraphNetwork, float]:
    """Return the network of a ``.pdmodel`` or ``.json`` file, its ``.pdiparams`` beside it, or of ``.onnx``.

    ``shapes`` are those of the inputs that the network is for. Beside it stands the largest
    difference between its outputs and the original's on random inputs, relative to the largest output; it
    is at most :data:`TOLERANCE`. Where the program leaves the batch open, it is compared at another one as
    well.

    Raises NotRebuilt: files that are missing or broken, inputs of other shapes, an operator that is not
    known, or outputs that differ.
    """
    if not model.is_file():
        raise NotRebuilt(f"there is no file {model.name}")
    params = model.with_suffix(".pdiparams")
    if model.suffix != ".onnx":
        if not params.is_file():
            raise NotRebuilt(f"there is no file {params.name} beside {model.name}")
        if is_cut_short(params.read_bytes()):
            raise NotRebuilt(f"{model.name} and {params.name} cannot be read: {params.name} is cut short")
    scratch.mkdir(parents=True, exist_ok=True)
    _read(model, shapes, scratch)
    program = read(scratch)
    runs = sorted(scratch.glob(inputs_file(scratch, 0).name.replace("0", "*")))
    network, worst = None, 0.0
    for run in range(len(runs)):
        arrays = safetensors.numpy.load_file(inputs_file(scratch, run))
        inputs = [arrays[feed.name] for feed in program.feeds]
        if network is None:
            try:
                network = GraphNetwork(program, inputs)
            except UnknownOperator as error:
                raise NotRebuilt(f"{model.name}: {error}") from None
        worst = max(worst, _difference(network, inputs, outputs_file(scratch, run)))
    if network is None or not worst <= TOLERANCE:
        raise NotRebuilt(
            f"{model.name}: the rebuilt network's outputs differ from the original's by {worst:.1e} of the "
            f"largest, {TOLERANCE:.0e} is allowed"
        )
    return network, worst


def _read(model: Path, shapes: Shapes, scratch: Path) -> None:
    """Read and run the files in a process of their own, which a broken file may end."""
    is_onnx = model.suffix == ".onnx"
    reader = "secateur_jobs.graph.onnx_reader" if is_onnx else "secateur_jobs.graph.pir"
    files = model.name if is_onnx else f"{model.name} and {model.stem}.pdiparams"
    command = [sys.executable, "-m", reader, str(model), str(scratch)]
    try:
        done = subprocess.run(
            [*command, json.dumps(shapes)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            check=False,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NotRebuilt(f"{files} cannot be read: not done in {_LIMIT_SECONDS} s") from None
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        last = lines[-1][:300] if lines else f"its reader ended with exit code {done.returncode}"
        raise NotRebuilt(f"{files} cannot be read: {last}")


def _difference(network: GraphNetwork, inputs: Sequence[np.ndarray], expected: Path) -> float:
    with paddle.no_grad():
        answers = network(*(paddle.to_tensor(array) for array in inputs))
    answers = answers if isinstance(answers, tuple) else (answers,)
    outputs = safetensors.numpy.load_file(expected)
    return max(difference(outputs[str(index)], answer.numpy()) for index, answer in enumerate(answers))


def difference(wanted: np.ndarray, found: np.ndarray) -> float:
    """Return the largest difference of an output, relative to its largest; infinite where it is no number."""
    if wanted.shape != found.shape:
        return float("inf")
    one, other = wanted.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(one)
    if (
        not np.array_equal(one[~finite], other[~finite], equal_nan=True)
        or not np.isfinite(other[finite]).all()
    ):
        return float("inf")
    largest = max(float(np.abs(one[finite]).max(initial=0.0)), 1e-30)
    return float(np.abs(one[finite] - other[finite]).max(initial=0.0)) / largest
