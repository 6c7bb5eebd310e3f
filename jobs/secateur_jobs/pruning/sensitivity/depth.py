"""How deep in a net each group lies: what a sensitivity point of the group has to compute again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.training.evaluate import forward

_PASSES = 3


def behind(
    net: paddle.nn.Layer, consumers: Mapping[str, Sequence[str]], inputs: Sequence[np.ndarray]
) -> dict[str, float]:
    """Return for each group the share (0..1) of a forward pass's time from its first consumer on.

    ``consumers`` are the groups' consuming layers. Measured on ``inputs`` (one batch) in evaluation mode, as
    the median of some passes, since MACs say too little: by them a depthwise net's last block was 0.13 of it,
    and it took 0.03 of the time. A group none of whose consumers is called has 1.
    """
    was_training = net.training
    net.eval()
    try:
        with paddle.no_grad():
            passes = [_left(net, consumers, inputs) for _ in range(1 + _PASSES)][1:]  # the first warms up
    finally:
        if was_training:
            net.train()
    return {group: float(np.median([one[group] for one in passes])) for group in consumers}


def _left(
    net: paddle.nn.Layer, consumers: Mapping[str, Sequence[str]], inputs: Sequence[np.ndarray]
) -> dict[str, float]:
    """Run the net once; return for each group the share of the time that was left at its first consumer."""
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
        end = _now()
    finally:
        for handle in handles:
            handle.remove()
    first = {group: min((at[n] for n in own if n in at), default=begin) for group, own in consumers.items()}
    return {group: (end - moment) / (end - begin) for group, moment in first.items()}


def _now() -> float:
    """Return the time in seconds, once the device has done what it was given."""
    if paddle.get_device() != "cpu":
        paddle.device.synchronize()
    return time.perf_counter()
