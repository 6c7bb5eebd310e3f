"""Where a right cut and a wrong one lie far apart: in float64, and at the inputs of layers.

What a layer receives in the masked net and in the cut one, nothing behind it can damp.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import Keep, PruningEngine
from secateur_jobs.pruning.layers import channel_axis
from secateur_jobs.pruning.observation import consumers_of
from secateur_jobs.pruning.readers import watched_layers
from secateur_jobs.training.forward import eval_mode

Inputs = dict[str, list[np.ndarray]]
"""Layer to its first input, call by call."""


class Received:
    """The inputs of the masked net's layers, of the kept channels of those that read what is cut."""

    def __init__(self, inputs: Inputs, readers: set[str]) -> None:
        self._inputs, self._readers = inputs, readers

    @classmethod
    def by(cls, engine: PruningEngine, keep: Keep, samples: list[np.ndarray]) -> Received:
        """Run the net, which is masked now, and keep what of each input a cut by ``keep`` leaves."""
        layers = watched_layers(engine.net)
        kept = {c.name: c.keep for c in consumers_of(engine.net, engine.groups, keep)}
        found = _run(engine.net, samples)
        for name, calls in found.items():
            if name in kept:
                axis = [channel_axis(layers[name], call.ndim) for call in calls]
                found[name] = [
                    np.compress(kept[name], call, axis=a) if call.shape[a] == len(kept[name]) else call
                    for call, a in zip(calls, axis, strict=True)
                ]
        return cls(found, set(kept))

    def difference(self, net: paddle.nn.Layer, samples: list[np.ndarray], tolerance: float) -> str | None:
        """Say which layer of the cut net receives something else, relative to its largest input."""
        for name, calls in _run(net, samples).items():
            expected = self._inputs.get(name, [])
            if [call.shape for call in calls] != [call.shape for call in expected]:
                if name in self._readers:
                    return f"broken without warning when cut: {name} receives another shape"
                continue  # a layer that is cut along, as a depthwise one: who reads it is looked at
            for mine, reference in zip(calls, expected, strict=True):
                scale = max(float(np.abs(reference).max(initial=0.0)), 1e-30)
                off = float(np.abs(mine - reference).max(initial=0.0)) / scale
                if not off <= tolerance:
                    return f"broken without warning when cut: what {name} receives is off by {off:.1e}"
        return None


def _run(net: paddle.nn.Layer, samples: list[np.ndarray]) -> Inputs:
    found: Inputs = {}
    with eval_mode(net), paddle.no_grad(), _watched(net, found):
        net(*[paddle.to_tensor(sample) for sample in samples])
    return found


@contextmanager
def _watched(net: paddle.nn.Layer, found: Inputs) -> Iterator[None]:
    def hook(name: str) -> Any:
        def see(layer: Any, inputs: Any) -> None:
            if inputs and inputs[0].dtype in (paddle.float32, paddle.float64):  # else: by keyword, or ids
                found.setdefault(name, []).append(inputs[0].numpy())

        return see

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in watched_layers(net).items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def in_float64(net: paddle.nn.Layer) -> Iterator[None]:
    """While it lasts, all float32 tensors of ``net`` are float64, and so is what its ``forward`` creates.

    The tensors stay the same objects. Afterwards each has its own memory again, with all that was in it.
    """
    singles = [t for t in (*net.parameters(), *net.buffers()) if t.dtype == paddle.float32]
    own = [(tensor, _held(tensor)) for tensor in {id(t): t for t in singles}.values()]
    default = paddle.get_default_dtype()
    paddle.set_default_dtype("float64")
    try:
        for tensor, _ in own:
            # never set(): a recurrent layer's tensors lie side by side in one piece of memory
            double = tensor.astype("float64")  # kept until it is shared: get_tensor() does not hold it
            tensor.get_tensor()._share_data_with(double.get_tensor())
        yield
    finally:
        paddle.set_default_dtype(default)
        for tensor, single in own:
            tensor.get_tensor()._share_data_with(single)


def _held(tensor: paddle.Tensor) -> Any:
    """Return something that holds the tensor's memory and says what lies there."""
    held = paddle.base.core.DenseTensor()
    held._share_data_with(tensor.get_tensor())
    return held
