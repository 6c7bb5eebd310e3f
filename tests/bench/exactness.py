"""What is offered can be cut, and nothing else: ``python -m tests.bench.exactness [--only NAME...]``.

Every group that the proof lets pass, of the zoo and of networks made to mislead, is cut to half of its
channels (those with the larger L1 norm stay), compared in float64 on random inputs with the same net in which
the consumers do not use the other half, and restored. The seconds are those of finding the groups, proving
them, and of all cuts, comparisons and restores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from secateur_api.spec import Engine, InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.criteria import filters_of
from secateur_jobs.pruning.engine import ChannelGroup, PruningEngine
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.proof import (
    TOLERANCE,
    masked,
    outputs,
    prove_groups,
    relative_difference,
    runnable_samples,
)
from secateur_jobs.pruning.received import in_float64
from secateur_jobs.pruning.survey import refused_layers
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.zoo.digits import residual_net
from tests.jobs.adversarial_nets import CASES, Case
from tests.jobs.statistics import like_trained

_VISION = paddle.vision.models


@dataclass(frozen=True)
class Net:
    """A network, and the layers of it that no cut may touch."""

    build: Callable[[], paddle.nn.Layer]
    inputs: list[InputSpec]
    refused: frozenset[str]


@dataclass
class Row:
    """What was measured on one net."""

    groups: int = 0
    wrong: list[str] = field(default_factory=list)
    """Groups that the proof lets pass although their cut changes the outputs."""
    refused: list[str] = field(default_factory=list)
    """Layers that are refused although they can be cut, and those that should be and are not."""
    restored: int = 0
    """Groups after whose cut every tensor is bit-equal to before."""
    difference: float = 0.0
    """Largest difference between pruned and masked net, relative to the largest output."""
    seconds: float = 0.0


def _zoo(build: Callable[[], paddle.nn.Layer], head: str, *shape: int) -> Net:
    return Net(build, [InputSpec(name="image", shape=[1, *shape])], frozenset([head]))


def _misleading(case: Case) -> Net:
    return Net(case.build, case.inputs, frozenset(case.refused) | ({case.head} if case.head else set()))


_NETS = {
    "digits residual net": _zoo(residual_net, "fc", 1, 32, 32),
    "mobilenet_v1": _zoo(_VISION.mobilenet_v1, "fc", 3, 64, 64),
    "mobilenet_v2": _zoo(_VISION.mobilenet_v2, "classifier.1", 3, 64, 64),
    "mobilenet_v3_small": _zoo(_VISION.mobilenet_v3_small, "classifier.3", 3, 64, 64),
    "resnet18": _zoo(_VISION.resnet18, "fc", 3, 64, 64),
    "resnet50": _zoo(_VISION.resnet50, "fc", 3, 64, 64),
} | {name: _misleading(case) for name, case in CASES.items()}


def measure(net: Net) -> Row:
    """Prove, cut, compare and restore each group of a net, one after the other."""
    seed_everything(3)
    built = like_trained(net.build())
    begin = time.monotonic()
    engine = make_engine(Engine.AUTO, built, net.inputs)
    groups, unproven = prove_groups(engine, net.inputs)
    named = {one.layer for one in refused_layers(built, groups, engine.reasons | unproven)}
    samples = runnable_samples(built, net.inputs)
    before = _state(built)
    row = Row(groups=len(groups), refused=sorted(named ^ net.refused))
    for group in groups:
        difference = _cut_and_restore(engine, group, samples)
        row.wrong += [group.name] if not difference <= TOLERANCE else []
        row.difference = float(np.maximum(row.difference, difference))
        row.restored += _state(built) == before
    row.seconds = time.monotonic() - begin
    return row


def _cut_and_restore(engine: PruningEngine, group: ChannelGroup, samples: list[np.ndarray]) -> float:
    """Return how far the net without half of the group is from the net that does not use that half."""
    norms = np.abs(filters_of(engine.net, group)[0]).sum(axis=1)
    keep = {group.name: group.choose(norms, (group.channels + 1) // 2)}
    doubles = [x.astype("float64") if x.dtype == np.float32 else x for x in samples]
    with in_float64(engine.net), masked(engine, keep):
        expected = outputs(engine.net, doubles)
    engine.cut(keep)
    try:
        with in_float64(engine.net):
            return relative_difference(outputs(engine.net, doubles), expected)
    finally:
        engine.restore()


def _state(net: paddle.nn.Layer) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in net.state_dict().items()}


def main() -> None:
    """Measure every net and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(_NETS))
    options = parser.parse_args()
    print(
        "| net | groups | wrong cuts | layers judged wrongly | restored bit for bit | difference | seconds |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in options.only or _NETS:
        row = measure(_NETS[name])
        print(
            f"| {name} | {row.groups} | {', '.join(row.wrong) or 0} | {', '.join(row.refused) or 0}"
            f" | {row.restored} | {row.difference:.1e} | {row.seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
