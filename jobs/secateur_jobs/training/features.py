"""Outputs inside the nets that a student can be compared by: those that the cut left the width of.

Feature distillation after Romero et al., "FitNets", 2015; without their adapters, since the student is the
teacher with channels removed: where no channel was, both speak of the same features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.forward import eval_mode, forward

MOST_LAYERS = 4
"""Comparing more gains little, and holds more activations."""
NONE_FOUND = (
    "fineTune.distillation.features has no effect: no layer inside the net has the same output shape as the "
    "teacher's layer of its name"
)
_TINY = 1e-12


class Taps:
    """Keeps the newest output of each of some layers; ``close`` takes the hooks off."""

    def __init__(self, net: paddle.nn.Layer, layers: Sequence[str]) -> None:
        self.outputs: dict[str, paddle.Tensor] = {}
        named = dict(net.named_sublayers())
        self._hooks = [named[name].register_forward_post_hook(self._keeper(name)) for name in layers]

    def _keeper(self, name: str) -> Any:
        def keep(_layer: paddle.nn.Layer, _inputs: Any, output: paddle.Tensor) -> None:
            self.outputs[name] = output

        return keep

    def close(self) -> None:
        """Take the hooks off and let go of the outputs."""
        for hook in self._hooks:
            hook.remove()
        self.outputs.clear()


def feature_distance(student: dict[str, paddle.Tensor], teacher: dict[str, paddle.Tensor]) -> paddle.Tensor:
    """Return the mean over layers of their outputs' :func:`relative_error`."""
    distances = [relative_error(student[name], target) for name, target in teacher.items()]
    return paddle.add_n(distances) / len(distances)


def relative_error(student: paddle.Tensor, teacher: paddle.Tensor) -> paddle.Tensor:
    """Return the mean squared difference of tensors of one shape, in units of the teacher's mean square."""
    wanted = teacher.detach().astype("float32")
    difference = (student.astype("float32") - wanted).square().mean()
    return difference / (wanted.square().mean() + _TINY)


def comparable_layers(
    student: paddle.nn.Layer, teacher: paddle.nn.Layer, inputs: list[np.ndarray]
) -> list[str]:
    """Return the names of at most ``MOST_LAYERS`` layers to compare, in the order in which they ran.

    They bear one name in both nets, run once, and give one floating-point tensor of the same shape that is
    no output of the net itself (those have terms of their own). Ends of blocks (layers made of layers)
    come before single layers, late ones before early ones. ``inputs`` is a small batch.
    """
    ours, theirs = _observe(student, inputs), _observe(teacher, inputs)
    fitting = [name for name, seen in ours.items() if name in theirs and seen.shape == theirs[name].shape]
    blocks = [name for name in fitting if ours[name].is_block]
    chosen = (blocks or fitting)[-MOST_LAYERS:]
    return chosen


class _Seen(NamedTuple):
    shape: tuple[int, ...]
    is_block: bool


def _observe(net: paddle.nn.Layer, inputs: list[np.ndarray]) -> dict[str, _Seen]:
    """Run the net once; return its layers that ran once and gave one tensor, in order, without the last."""
    outputs: dict[str, list[Any]] = {}
    hooks = []
    layers = dict(net.named_sublayers())
    for name, layer in layers.items():

        def keep(_layer: paddle.nn.Layer, _inputs: Any, output: Any, name: str = name) -> None:
            outputs.setdefault(name, []).append(output)

        hooks.append(layer.register_forward_post_hook(keep))
    try:
        with eval_mode(net), paddle.no_grad():
            result = forward(net, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    taken = {
        id(tensor) for tensor in result.tensors.values()
    }  # an outer layer that returns its last one's output: the outer one's name is taken
    found: dict[str, _Seen] = {}
    for name, given in reversed(outputs.items()):
        tensor = given[0]
        if len(given) > 1 or not isinstance(tensor, paddle.Tensor) or id(tensor) in taken:
            continue
        if not tensor.is_floating_point():
            continue
        taken.add(id(tensor))
        found[name] = _Seen(tuple(tensor.shape), bool(list(layers[name].children())))
    return dict(reversed(found.items()))
