"""Whether an ONNX model in int8 may stand for the float32 one: smaller, repeatable, finite, near enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import InputSpec
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.conversion.converted import ConvertedModel
from secateur_jobs.runtime.errors import InvalidInput

Answers = list[list[np.ndarray]]
"""Of each batch the outputs, in the model's order."""

LARGEST_DIFFERENCE = 0.2
"""Of the largest output. Trained nets stay below 0.04 with weights in int8, below 0.15 with convolutions."""
LEAST_AGREEMENT = 0.98
"""Share of the float32 model's answers that int8 has to give as well."""


@dataclass(frozen=True)
class Judged:
    """An int8 model beside the float32 one that it was made of."""

    bytes: int
    float_bytes: int
    difference: float
    """Largest between outputs, relative to the largest of that output; the worst output's."""
    agreement: float
    """Share of places with the same largest class; the worst output's."""
    samples: int
    """Batches that were run."""


def judge(
    path: Path,
    original: Path,
    inputs: Sequence[InputSpec],
    samples: Sequence[Batch],
    scratch: Path,
    *,
    largest_difference: float = LARGEST_DIFFERENCE,
    least_agreement: float = LEAST_AGREEMENT,
    axis: int = -1,
) -> Judged:
    """Return how an int8 model compares with the float32 one, ``original``, on batches of its ``inputs``.

    ``axis`` is that of the classes. Raises InvalidInput: PARITY_MISSED in one sentence if the model must not
    be used, CONVERSION_UNSUPPORTED if it cannot be run; Retryable for a fault.
    """
    check_smaller(path, original)
    found = same_twice(path, inputs, samples, scratch)
    with ConvertedModel(original, inputs, scratch) as model:
        reference = [model.run(batch) for batch in samples]
    judged = Judged(
        bytes=path.stat().st_size,
        float_bytes=original.stat().st_size,
        difference=difference(reference, found),
        agreement=agreement(reference, found, axis),
        samples=len(samples),
    )
    if judged.difference > largest_difference:
        raise _refused(
            f"{path.name}: outputs differ from the float32 model's by {judged.difference:.3g} of the largest "
            f"(allowed: {largest_difference:g})"
        )
    if judged.agreement < least_agreement:
        raise _refused(
            f"{path.name} gives the float32 model's answer in {judged.agreement:.2%} of the cases (needed: "
            f"{least_agreement:.2%})"
        )
    return judged


def check_smaller(path: Path, original: Path) -> None:
    """Refuse (PARITY_MISSED) a file that is not smaller than the float32 one: nothing is gained."""
    size, before = path.stat().st_size, original.stat().st_size
    if size >= before:
        raise _refused(f"{path.name} has {size} bytes, no fewer than the float32 model's {before}")


def same_twice(path: Path, inputs: Sequence[InputSpec], samples: Sequence[Batch], scratch: Path) -> Answers:
    """Return a model's outputs; refuse (PARITY_MISSED) one whose outputs are not finite or not repeatable.

    Each batch is run twice in each of two processes, and every bit must be the same: int8 kernels of
    onnxruntime have left numbers in outputs that they had not written.
    """
    if not samples:
        raise ValueError("no samples to judge by")
    runs: list[Answers] = []
    for _ in range(2):
        with ConvertedModel(path, inputs, scratch) as model:
            runs += [[model.run(batch) for batch in samples] for _ in range(2)]
    for index, outputs in enumerate(zip(*runs[0], strict=True)):
        if not all(np.isfinite(one).all() for one in outputs):
            raise _refused(f"{path.name}: output {index} is not finite")
        again = [one[index] for run in runs[1:] for one in run]
        if any(one.tobytes() != other.tobytes() for one, other in zip(outputs * 3, again, strict=True)):
            raise _refused(f"{path.name}: output {index} differs between two runs on the same inputs")
    return runs[0]


def difference(reference: Answers, found: Answers) -> float:
    """Return the largest difference, relative to the largest number of that output; the worst output's."""
    worst = 0.0
    for ours, theirs in zip(zip(*reference, strict=True), zip(*found, strict=True), strict=True):
        expected, given = (np.stack(one).astype(np.float64) for one in (ours, theirs))
        scale = float(np.abs(expected).max(initial=0.0))
        absolute = float(np.abs(given - expected).max(initial=0.0))
        worst = max(worst, absolute / scale if scale else absolute)
    return worst


def agreement(reference: Answers, found: Answers, axis: int = -1) -> float:
    """Return the share of places where the largest along ``axis`` is the same; the worst output's.

    Outputs without classes (of whole numbers, or of one along ``axis``) do not count.
    """
    worst = 1.0
    for ours, theirs in zip(zip(*reference, strict=True), zip(*found, strict=True), strict=True):
        if ours[0].dtype.kind == "f" and ours[0].ndim > 0 and ours[0].shape[axis] > 1:
            same = np.stack([a.argmax(axis) == b.argmax(axis) for a, b in zip(ours, theirs, strict=True)])
            worst = min(worst, float(same.mean()))
    return worst


def _refused(message: str) -> InvalidInput:
    return InvalidInput(Reason.PARITY_MISSED, f"int8 is not used: {message}")
