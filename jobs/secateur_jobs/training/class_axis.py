"""Which axis of an output the classes are along: the one that the labels do not have."""

from __future__ import annotations

from collections.abc import Sequence

from secateur_api.conditions import Reason
from secateur_api.spec import Evaluation
from secateur_jobs.runtime.errors import InvalidInput

UNLABELLED = 255
"""A pixel's label that counts neither in loss nor in metric, where there are fewer classes (as PaddleSeg)."""


def class_axis(
    output: Sequence[int], labels: Sequence[int], evaluation: Evaluation, where: str = "spec.data.factory"
) -> int:
    """Return the class axis, 1 or more, of outputs of shape ``output`` with labels of shape ``labels``.

    Labels [N, H, W] name axis 1 of [N, C, H, W] and the last of [N, H, W, C]; axes of length 1 do not count.
    ``evaluation.class_axis`` names it where both would do. Raises InvalidInput with both shapes: there must
    be one label for each row of class scores.
    """
    axes = candidates(output, labels)
    named = evaluation.class_axis
    if named is not None:
        if not -len(output) < named < len(output):
            raise InvalidInput(
                Reason.INVALID_SPEC,
                f"spec.evaluation.classAxis: outputs of shape {list(output)} have no class axis {named}",
            )
        axes = [axis for axis in axes if axis == named % len(output)]
    if len(axes) == 1:
        return axes[0]
    if axes:
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.evaluation.classAxis: labels of shape {list(labels)} leave open which axis of the outputs "
            f"{list(output)} the classes are along; set it (classAxis: {axes[0]}, or {axes[-1]})",
        )
    raise InvalidInput(
        Reason.DATASET_INVALID,
        f"{where}: labels of shape {list(labels)} do not fit outputs of {list(output)}"
        f"{'' if named is None else f' with classAxis {named}'}; there must be one label per output row",
    )


def candidates(output: Sequence[int], labels: Sequence[int]) -> list[int]:
    """Return the axes without which ``output`` has the shape of ``labels``."""
    wanted = spread(labels)
    return [axis for axis in range(1, len(output)) if spread([*output[:axis], *output[axis + 1 :]]) == wanted]


def spread(shape: Sequence[int]) -> list[int]:
    """Return a shape without the axes of length 1, but for the batch's: [N, 1] is as good as [N]."""
    return [*shape[:1], *(length for length in shape[1:] if length != 1)]


def is_map(output: Sequence[int]) -> bool:
    """Whether outputs of this shape have a place for each pixel: [N, C, H, W], [N, H, W, C]."""
    return len(output) >= 4
