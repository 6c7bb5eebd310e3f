"""How far a converted model's outputs are from Paddle's on the same inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.results import Parity
from secateur_jobs.runtime.errors import InvalidInput

TOLERANCE = 1e-4
"""Allowed largest absolute difference, over the largest absolute output: float32 kernels that sum in another
order stayed below 2e-6 on every network measured, ResNet50 among them."""

Outputs = Sequence[np.ndarray]


def measure(reference: Sequence[Outputs], converted: Sequence[Outputs], what: str) -> Parity:
    """Compare the outputs of every batch; raises InvalidInput (PARITY_MISSED) if the model is not the same.

    Each output is compared on its own scale; the worst one counts. ``what`` names the model in the message.
    """
    worst = [_compare(index, reference, converted, what) for index in range(len(reference[0]))]
    return Parity(
        max_abs=max(absolute for absolute, _ in worst),
        max_rel=max(relative for _, relative in worst),
        tolerance=TOLERANCE,
        samples=sum(batch[0].shape[0] if batch[0].ndim else 1 for batch in reference),
    )


def _compare(
    index: int, reference: Sequence[Outputs], converted: Sequence[Outputs], what: str
) -> tuple[float, float]:
    """Return the largest absolute difference of one output, and that over its largest absolute value."""
    ours = [batch[index] for batch in reference]
    _check_shapes(ours, converted, index, what)
    expected = np.stack(ours).astype(np.float64)
    scale = float(np.abs(expected).max(initial=0.0))
    if not np.isfinite(scale):
        raise _missed(f"{what}: Paddle's own output {index} is not finite on the evaluation data")
    theirs = np.stack([batch[index] for batch in converted]).astype(np.float64)
    if not np.isfinite(theirs).all():
        raise _missed(f"{what}: output {index} is not finite, Paddle's is: it is not the same model")
    absolute = float(np.abs(theirs - expected).max(initial=0.0))
    relative = absolute / scale if scale else absolute
    if relative > TOLERANCE:
        raise _missed(
            f"{what}: output {index} differs from Paddle's by {relative:.3g} of the largest value "
            f"(allowed: {TOLERANCE:g}): it is not the same model"
        )
    return absolute, relative


def _check_shapes(ours: Outputs, converted: Sequence[Outputs], index: int, what: str) -> None:
    for mine, batch in zip(ours, converted, strict=True):
        if index >= len(batch):
            raise _missed(f"{what} has only {len(batch)} outputs; the model must return each one once")
        if mine.shape != batch[index].shape:
            raise _missed(
                f"{what}: output {index} has shape {list(batch[index].shape)}, Paddle's {list(mine.shape)}"
            )


def _missed(message: str) -> InvalidInput:
    return InvalidInput(Reason.PARITY_MISSED, message)
