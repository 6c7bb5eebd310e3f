"""Run a network on a batch, and name what it returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from secateur_api.conditions import Reason
from secateur_api.spec import InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput
from secateur_jobs.training.outputs import Outputs, Structure


@contextmanager
def eval_mode(net: paddle.nn.Layer) -> Iterator[None]:
    """Put every layer in eval mode, and back as it was."""
    before = [(layer, layer.training) for layer in net.sublayers(include_self=True)]
    net.eval()
    try:
        yield
    finally:
        for layer, training in before:
            layer.training = training


def forward(net: paddle.nn.Layer, inputs: Sequence[np.ndarray]) -> Outputs:
    """Run ``net`` on a batch of input arrays, in the order of its ``forward``."""
    return read(net(*(paddle.to_tensor(array) for array in inputs)))


def zeros(inputs: Iterable[InputSpec]) -> list[paddle.Tensor]:
    """Return zeros of the declared shapes and types."""
    return [paddle.zeros(spec.shape, spec.dtype.value) for spec in inputs]


def read(returned: Any) -> Outputs:
    """Return the outputs in what ``forward`` returned.

    Raises InvalidInput(FACTORY_FAILED) if there is no tensor in it, or two of one name.
    """
    found: dict[str, Any] = {}
    structure = _named(returned, "", found)
    if not found:
        raise InvalidInput(
            Reason.FACTORY_FAILED,
            f"spec.model: the model's forward returned a {type(returned).__name__} without a tensor; "
            "it must return a tensor, or a tuple, list or dict of tensors",
        )
    return Outputs(found, structure)


def _named(value: Any, name: str, found: dict[str, Any]) -> Structure:
    if isinstance(value, paddle.Tensor):
        name = name or "0"
        if name in found:
            raise InvalidInput(
                Reason.FACTORY_FAILED, f"spec.model: two outputs of the model are called {name!r}"
            )
        found[name] = value
        return name
    inside = f"{name}." if name else ""
    if isinstance(value, Mapping):
        keys = sorted(value)
        return {str(key): _named(value[key], f"{inside}{key}", found) for key in keys}
    if isinstance(value, (list, tuple)):
        return [_named(one, f"{inside}{index}", found) for index, one in enumerate(value)]
    return None
