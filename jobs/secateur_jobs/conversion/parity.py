"""How far a converted model's outputs are from Paddle's on the same inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.results import Parity
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.outputs import Outputs

TOLERANCE = 1e-4
"""Allowed largest absolute difference, over the largest absolute output: float32 kernels that sum in another
order stayed below 2e-6 on every network measured, ResNet50 among them."""

Arrays = Sequence[np.ndarray]


def measure(reference: Sequence[Outputs], converted: Sequence[Arrays], what: str) -> Parity:
    """Compare the outputs of every batch; raises InvalidInput (PARITY_MISSED) if the model is not the same.

    A converted model has its outputs in order and without names: that this order is Paddle's is proven here,
    each output on its own scale. The worst one counts. ``what`` names the model in the message.
    """
    names = list(reference[0].tensors)
    for batch in converted:
        if len(batch) != len(names):
            raise _missed(
                f"{what} has {len(batch)} outputs, Paddle's model {len(names)}: {', '.join(names)}; forward "
                "must return each one once"
            )
    worst = [_compare(index, name, reference, converted, what) for index, name in enumerate(names)]
    return Parity(
        max_abs=max(absolute for absolute, _ in worst),
        max_rel=max(relative for _, relative in worst),
        tolerance=TOLERANCE,
        samples=sum(_samples(batch) for batch in reference),
    )


def _samples(outputs: Outputs) -> int:
    first = next(iter(outputs.tensors.values()))
    return first.shape[0] if first.ndim else 1


def _compare(
    index: int, name: str, reference: Sequence[Outputs], converted: Sequence[Arrays], what: str
) -> tuple[float, float]:
    """Return the largest absolute difference of one output, and that over its largest absolute value."""
    ours = [batch.tensors[name] for batch in reference]
    for mine, batch in zip(ours, converted, strict=True):
        if mine.shape != batch[index].shape:
            raise _missed(
                f"{what}: output {name} has shape {list(batch[index].shape)}, Paddle's {list(mine.shape)}"
            )
    expected = np.stack(ours).astype(np.float64)
    scale = float(np.abs(expected).max(initial=0.0))
    if not np.isfinite(scale):
        raise _missed(f"{what}: Paddle's own output {name} is not finite on the evaluation data")
    theirs = np.stack([batch[index] for batch in converted]).astype(np.float64)
    if not np.isfinite(theirs).all():
        raise _missed(f"{what}: output {name} is not finite, Paddle's is: it is not the same model")
    absolute = float(np.abs(theirs - expected).max(initial=0.0))
    relative = absolute / scale if scale else absolute
    if relative > TOLERANCE:
        raise _missed(
            f"{what}: output {name} differs from Paddle's by {relative:.3g} of the largest value "
            f"(allowed: {TOLERANCE:g}): it is not the same model"
        )
    return absolute, relative


def _missed(message: str) -> InvalidInput:
    return InvalidInput(Reason.PARITY_MISSED, message)
