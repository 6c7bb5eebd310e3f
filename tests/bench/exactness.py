"""Cut and restore of every group of the zoo: ``python -m tests.bench.exactness [--only NAME...]``.

Each group is cut to half of its channels (those with the larger L1 norm stay), compared on random inputs with
the same net in which the consumers do not use the other half, and restored. The seconds are those of finding
the groups and of all cuts, comparisons and restores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from secateur_api.spec import Engine, InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.criteria import filters_of
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine, best_channels
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.proof import masked, outputs, relative_difference, sample_inputs
from secateur_jobs.zoo.digits import residual_net
from tests.jobs.statistics import like_trained

_VISION = paddle.vision.models
_NETS: dict[str, tuple[Callable[[], paddle.nn.Layer], list[int]]] = {
    "digits residual net": (residual_net, [1, 1, 32, 32]),
    "mobilenet_v1": (_VISION.mobilenet_v1, [1, 3, 64, 64]),
    "mobilenet_v2": (_VISION.mobilenet_v2, [1, 3, 64, 64]),
    "mobilenet_v3_small": (_VISION.mobilenet_v3_small, [1, 3, 64, 64]),
    "resnet18": (_VISION.resnet18, [1, 3, 64, 64]),
    "resnet50": (_VISION.resnet50, [1, 3, 64, 64]),
}


@dataclass
class Row:
    """What was measured on one net."""

    groups: int = 0
    restored: int = 0
    """Groups after whose cut every tensor is bit-equal to before."""
    difference: float = 0.0
    """Largest difference between pruned and masked net, relative to the largest output."""
    seconds: float = 0.0


def measure(net: paddle.nn.Layer, shape: list[int]) -> Row:
    """Cut, compare and restore each group of a net, one after the other."""
    begin = time.monotonic()
    inputs = [InputSpec(name="image", shape=shape)]
    engine = make_engine(Engine.AUTO, net, inputs)
    samples = sample_inputs(inputs)
    before = _state(net)
    row = Row(groups=len(engine.groups))
    for group in engine.groups:
        row.difference = float(np.maximum(row.difference, _cut_and_restore(engine, group, samples)))
        row.restored += _state(net) == before
    row.seconds = time.monotonic() - begin
    return row


def _cut_and_restore(engine: PruningEngine, group: ChannelGroup, samples: list[np.ndarray]) -> float:
    """Return how far the net without half of the group is from the net that does not use that half."""
    norms = np.abs(filters_of(engine.net, group)[0]).sum(axis=1)
    keep = {group.name: best_channels(norms, (group.channels + 1) // 2)}
    with masked(engine, keep):
        expected = outputs(engine.net, samples)
    engine.cut(keep)
    try:
        return relative_difference(outputs(engine.net, samples), expected)
    finally:
        engine.restore()


def _state(net: paddle.nn.Layer) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in net.state_dict().items()}


def main() -> None:
    """Measure every net and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(_NETS))
    options = parser.parse_args()
    print("| net | groups | restored bit for bit | largest relative difference | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for name, (build, shape) in _NETS.items():
        if options.only and name not in options.only:
            continue
        row = measure(like_trained(build()), shape)
        print(
            f"| {name} | {row.groups} | {row.restored} | {row.difference:.1e} | {row.seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
