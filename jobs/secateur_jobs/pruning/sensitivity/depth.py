"""How deep in a net each group lies: what a sensitivity point of the group has to compute again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.training.forward import eval_mode, forward

_PASSES, _SECONDS = 3, 0.3
"""How many passes are run at least, and for how long: those of small nets are short and easily disturbed."""


def behind(
    net: paddle.nn.Layer, consumers: Mapping[str, Sequence[str]], inputs: Sequence[np.ndarray]
) -> dict[str, float]:
    """Return for each group the share (0..1) of a forward pass's time from its first consumer on.

    ``consumers`` are the groups' consuming layers. Measured on ``inputs`` (one batch) in evaluation mode, in
    the fastest of some passes, since MACs say too little: a depthwise net's last block had 0.13 of them and
    took 0.03 of the time. A group none of whose consumers is called has 1.
    """
    with eval_mode(net), paddle.no_grad():
        passes = [_left(net, consumers, inputs) for _ in range(_PASSES)]
        end = time.perf_counter() + _SECONDS
        while time.perf_counter() < end:
            passes.append(_left(net, consumers, inputs))
    return min(passes, key=lambda one: one[0])[1]


def _left(
    net: paddle.nn.Layer, consumers: Mapping[str, Sequence[str]], inputs: Sequence[np.ndarray]
) -> tuple[float, dict[str, float]]:
    """Run the net once; return its seconds, and each group's share of them left at its first consumer."""
    at: dict[str, float] = {}
    layers = named_layers(net)
    names = dict.fromkeys(name for group in consumers.values() for name in group)

    def note(name: str) -> Callable[..., None]:
        def hook(layer: paddle.nn.Layer, arguments: object) -> None:
            at.setdefault(name, _now())

        return hook

    handles = [layers[name].register_forward_pre_hook(note(name)) for name in names]
    try:
        begin = _now()
        forward(net, list(inputs))
        seconds = _now() - begin
    finally:
        for handle in handles:
            handle.remove()
    first = {group: min((at[n] for n in own if n in at), default=begin) for group, own in consumers.items()}
    return seconds, {group: 1 - (moment - begin) / seconds for group, moment in first.items()}


def _now() -> float:
    """Return the time in seconds, once the device has done what it was given."""
    if paddle.get_device() != "cpu":
        paddle.device.synchronize()
    return time.perf_counter()
