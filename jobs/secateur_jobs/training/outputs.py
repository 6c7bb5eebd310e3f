"""What a network gives: its tensors by name, in the order in which they are exported.

``forward`` may return a tensor, a tuple or list, a dict, these inside each other, and None or numbers among
them. A tensor is named by its place: ``0``, ``1`` in a tuple, its key in a dict, ``1.boxes`` inside; the only
one of a ``forward`` that returns a tensor is ``0``. The order is that of ``paddle.utils.flatten`` (dicts by
sorted keys), by which ``paddle.jit.save`` numbers the outputs of the program that is converted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import BUILT_IN_LOSSES, BUILT_IN_METRICS, Evaluation
from secateur_jobs.runtime.errors import InvalidInput

Structure = Any
"""What ``forward`` returned with names in place of tensors, as JSON: a name, null, a list or an object."""


@dataclass(frozen=True)
class Outputs:
    """The output tensors of one forward pass: Paddle's, or arrays."""

    tensors: dict[str, Any]
    structure: Structure

    @property
    def floats(self) -> dict[str, Any]:
        """Those of floating point: scores, maps, boxes; not indices or masks."""
        return {name: tensor for name, tensor in self.tensors.items() if "float" in str(tensor.dtype)}

    @property
    def given(self) -> Any:
        """What a user's metric or loss is given: the tensor where there is one, else as ``forward`` has it.

        Tuples come as lists.
        """
        if len(self.tensors) == 1:
            return next(iter(self.tensors.values()))
        return self.arranged

    @property
    def arranged(self) -> Any:
        """What ``forward`` returned, tuples as lists."""
        return _filled(self.structure, self.tensors)

    def arrays(self) -> Outputs:
        """Return the same as numpy arrays."""
        return Outputs({name: tensor.numpy() for name, tensor in self.tensors.items()}, self.structure)

    def first(self, count: int) -> Outputs:
        """Return the outputs of the first ``count`` samples."""
        shortened = {n: t[:count] if len(t.shape) else t for n, t in self.tensors.items()}
        return Outputs(shortened, self.structure)

    def __str__(self) -> str:
        """``0 [1, 4], 1 [1, 4]``: every output with its shape, and its type where it is no float."""
        floats = self.floats
        return ", ".join(
            f"{name} {list(tensor.shape)}" + ("" if name in floats else f" ({tensor.dtype})")
            for name, tensor in self.tensors.items()
        )


def rebuilt(structure: Structure, tensors: Sequence[np.ndarray]) -> Outputs:
    """Return the outputs of a converted model, which has them in order and without names."""
    return Outputs(dict(zip(_names(structure), tensors, strict=True)), structure)


def judged(outputs: Outputs, evaluation: Evaluation) -> str:
    """Return the name of the output that the built-in metric and loss judge.

    That is ``evaluation.output``, or the only one of floating point. Raises InvalidInput(INVALID_SPEC),
    listing the outputs, where that says nothing or names none.
    """
    floats, name = outputs.floats, evaluation.output
    if name is None and len(floats) == 1:
        return next(iter(floats))
    if name is not None and name in floats:
        return name
    if name is not None:
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.evaluation.output: the model has no floating-point output {name!r}; it has {outputs}",
        )
    if not floats:
        raise InvalidInput(
            Reason.INVALID_SPEC,
            f"spec.evaluation: {_built_in(evaluation)} judges scores, and the model has only {outputs}; "
            "return the scores as well, or write a metric and a loss of your own",
        )
    raise InvalidInput(
        Reason.INVALID_SPEC,
        f"spec.evaluation.output: the model has {len(floats)} outputs, {outputs}; say which one "
        f"{_built_in(evaluation)} judges (output: {next(iter(floats))}), or write a metric and a loss of "
        "your own, which are given all",
    )


def has_built_in_metric(evaluation: Evaluation) -> bool:
    """Whether the metric judges one output; a user's is given all."""
    return evaluation.metric in BUILT_IN_METRICS


def has_built_in_loss(evaluation: Evaluation) -> bool:
    """Whether the loss judges one output; a user's is given all."""
    return evaluation.loss in BUILT_IN_LOSSES


def has_built_in(evaluation: Evaluation) -> bool:
    """Whether metric or loss judge one output, by one label."""
    return has_built_in_metric(evaluation) or has_built_in_loss(evaluation)


def judged_if_any(outputs: Outputs, evaluation: Evaluation) -> str | None:
    """Return :func:`judged`'s answer; None where metric and loss are the user's, and nothing is named."""
    if evaluation.output is None and len(outputs.floats) != 1 and not has_built_in(evaluation):
        return None
    return judged(outputs, evaluation)


def judged_or_all(outputs: Outputs, evaluation: Evaluation) -> list[str]:
    """Return the names of what is judged: all outputs where metric and loss are the user's."""
    name = judged_if_any(outputs, evaluation)
    return list(outputs.tensors) if name is None else [name]


def _built_in(evaluation: Evaluation) -> str:
    return evaluation.metric if has_built_in_metric(evaluation) else evaluation.loss


def _names(structure: Structure) -> Iterator[str]:
    if isinstance(structure, str):
        yield structure
    elif structure is not None:
        for inner in structure.values() if isinstance(structure, dict) else structure:
            yield from _names(inner)


def _filled(structure: Structure, tensors: Mapping[str, Any]) -> Any:
    if isinstance(structure, str):
        return tensors[structure]
    if isinstance(structure, dict):
        return {key: _filled(inner, tensors) for key, inner in structure.items()}
    return None if structure is None else [_filled(inner, tensors) for inner in structure]
