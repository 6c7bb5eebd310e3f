"""How much of a net each engine can cut: ``python -m tests.bench.coverage [--only NET...]``.

Four ways side by side, each in a process of its own: engine ``native``; engine ``paddleslim``, which adds
the proof and the reasons to PaddleSlim's search; PaddleSlim alone, asked for 30 % of every convolution,
as its own documentation does; and both engines on one net, which cut the groups that both find: *equal* are
those whose tensors are the same to the bit. A layer is *prunable* if a proven group cuts its outputs, *left
silently* if PaddleSlim was asked to cut it, did not, and said nothing. Random weights; batch 2 in proofs; one
thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from secateur_api.spec import Engine, InputSpec
from secateur_jobs.explain import RAISED, raised
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning import slim
from secateur_jobs.pruning.engines import make_engine
from secateur_jobs.pruning.layers import CONVOLUTIONS, TRANSPOSED, cuttable_layers, is_depthwise, width
from secateur_jobs.pruning.proof import masked, outputs, prove_groups, relative_difference, runnable_samples
from secateur_jobs.training.seeding import seed_everything
from tests.jobs.agreement import agreement
from tests.jobs.statistics import like_trained
from tests.jobs.structures import STRUCTURES

_VISION = paddle.vision.models
_SIZES = {
    "mobilenet_v1": 64,
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "resnet18": 64,
    "resnet50": 64,
    "resnext50_32x4d": 64,
    "shufflenet_v2_x1_0": 64,
    "densenet121": 64,
    "squeezenet1_0": 64,
    "googlenet": 224,
    "inception_v3": 96,
    "vgg11": 64,
}
_NETS: dict[str, tuple[Callable[[], paddle.nn.Layer], list[InputSpec]]] = {
    name: (getattr(_VISION, name), [InputSpec(name="image", shape=[1, 3, size, size])])
    for name, size in _SIZES.items()
}
_NETS |= {
    "CRNN (BiLSTM x 2)": (STRUCTURES["crnn"].build, STRUCTURES["crnn"].inputs),
    "transformer encoder": (STRUCTURES["encoder"].build, STRUCTURES["encoder"].inputs),
}
_ALONE, _BOTH = "alone", "both"
_WAYS = (Engine.NATIVE.value, Engine.PADDLESLIM.value, _ALONE, _BOTH)


@dataclass
class Row:
    """What one engine can do with one net."""

    layers: int = 0
    """Convolutions, depthwise ones not counted, and linear layers; recurrent ones count as one each."""
    prunable: int = 0
    groups: int = 0
    seconds: float = 0.0
    """Discovery."""
    proof_seconds: float = 0.0
    mebibytes: float = 0.0
    """Peak memory of discovery, beyond that of one forward."""
    difference: float = 0.0
    """Pruned against masked, all groups at once, relative to the largest output."""
    unproven: int = 0
    """Layers in groups that did not stand the proof."""
    silent: int = 0
    equal: int = 0
    """Of ``groups`` that both engines cut, those that they cut to equal networks."""
    crash: str = ""
    reasons: str = ""
    """Why not, for layers other than the head."""


def measure(name: str, way: str) -> Row:
    """Measure one net in this process."""
    build, inputs = _NETS[name]
    seed_everything(0)
    net = like_trained(build())
    if way == _BOTH:
        found = agreement(net, inputs)
        return Row(groups=found.shared, equal=found.shared - len(found.unequal))
    return _alone(net, inputs) if way == _ALONE else _engine(net, inputs, Engine(way))


def _engine(net: paddle.nn.Layer, inputs: list[InputSpec], which: Engine) -> Row:
    samples = runnable_samples(net, inputs)
    row = Row(layers=len(_producers(net)))
    before, begin = _peak(), time.monotonic()
    engine = make_engine(which, net, inputs)
    row.seconds, row.mebibytes = time.monotonic() - begin, _peak() - before
    begin = time.monotonic()
    proven, unproven = prove_groups(engine, inputs)
    row.proof_seconds, row.groups = time.monotonic() - begin, len(proven)
    cut = {layer for group in proven for layer in group.producers} & _producers(net).keys()
    row.prunable = len(cut)
    row.unproven = len(unproven)
    reasons = engine.reasons | unproven
    left = [layer for layer in _producers(net) if layer not in cut]
    row.reasons = "; ".join(sorted({reasons.get(layer, "?") for layer in left})[:4])
    random = np.random.default_rng(1)
    keep = {g.name: g.choose(random.random(g.channels), (g.channels + 1) // 2) for g in proven}
    with masked(engine, keep):
        expected = outputs(net, samples)
    engine.cut(keep)
    row.difference = relative_difference(outputs(net, samples), expected)
    return row


def _alone(net: paddle.nn.Layer, inputs: list[InputSpec]) -> Row:
    """Do as PaddleSlim's documentation does, with its own classes."""
    net.eval()
    layers = {n: layer for n, layer in cuttable_layers(net).items() if _is_dense_conv(layer)}
    row = Row(layers=len(_producers(net)))
    before, begin = _peak(), time.monotonic()
    try:
        pruner = slim.module("dygraph.prune.l1norm_pruner").L1NormFilterPruner(
            net, [spec.shape for spec in inputs], input_dtype=inputs[0].dtype.value
        )
        row.seconds, row.mebibytes = time.monotonic() - begin, _peak() - before
        row.groups = len(list(pruner.collections))
        widths = {name: width(layer) for name, layer in layers.items()}
        pruner.prune_vars({layer.weight.name: 0.3 for layer in layers.values()}, [0])
        outputs(net, runnable_samples(net, inputs))
        cut = [name for name, layer in layers.items() if width(layer) < widths[name]]
        row.prunable, row.silent = len(cut), len(layers) - len(cut)
    except RAISED as error:  # whatever PaddleSlim does
        row.crash = raised(error)[:120]
    finally:
        paddle.disable_static()
    return row


def _is_dense_conv(layer: paddle.nn.Layer) -> bool:
    return isinstance(layer, CONVOLUTIONS) and not is_depthwise(layer)


def _producers(net: paddle.nn.Layer) -> dict[str, paddle.nn.Layer]:
    kinds = (*CONVOLUTIONS, *TRANSPOSED, paddle.nn.Linear, paddle.nn.LSTM, paddle.nn.GRU)
    return {
        name: layer
        for name, layer in net.named_sublayers()
        if isinstance(layer, kinds) and not is_depthwise(layer)
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _in_child(name: str, way: str) -> Row:
    argv = [sys.executable, "-W", "ignore", "-m", "tests.bench.coverage", "--one", name, way]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Row(crash=f"{last[:120]} (exit status {done.returncode})")
    return Row(**json.loads(done.stdout.strip().splitlines()[-1]))


def _print(name: str, rows: dict[str, Row]) -> None:
    native, engine, alone, both = (rows[way] for way in _WAYS)
    cells: list[Any] = [
        name,
        native.layers,
        native.prunable,
        native.groups,
        f"{native.seconds:.2f}",
        f"{native.proof_seconds:.2f}",
        f"{native.mebibytes:.0f}",
        f"{native.difference:.0e}",
        engine.prunable if not engine.crash else engine.crash,
        f"{engine.seconds:.2f}",
        alone.prunable if not alone.crash else f"crash: {alone.crash}",
        alone.silent,
        both.crash or both.groups,
        both.equal,
    ]
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
    print(f"  native leaves: {native.crash or native.reasons}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure every net in every way and print a Markdown table; reasons go to standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(_NETS))
    parser.add_argument("--one", nargs=2, metavar=("NET", "WAY"))
    options = parser.parse_args()
    if options.one:
        print(json.dumps(asdict(measure(*options.one))))
        return
    print(
        "| net | layers | native prunable | groups | discovery s | proof s | peak MiB | difference "
        "| paddleslim engine prunable | discovery s | PaddleSlim alone cuts | left silently "
        "| groups that both cut | equal |"
    )
    print("|" + " --- |" * 14)
    totals = dict.fromkeys(_WAYS[:3], 0)
    crashes, layers, silent, shared, equal = dict.fromkeys(_WAYS, 0), 0, 0, 0, 0
    for name in options.only or _NETS:
        rows = {way: _in_child(name, way) for way in _WAYS}
        _print(name, rows)
        layers += max(row.layers for row in rows.values())
        silent += rows[_ALONE].silent
        shared, equal = shared + rows[_BOTH].groups, equal + rows[_BOTH].equal
        for way in totals:
            totals[way] += rows[way].prunable
        for way, row in rows.items():
            crashes[way] += bool(row.crash)
    print(f"\nlayers: {layers}; prunable: {totals}; crashes: {crashes}; left silently: {silent}")
    print(f"groups that both cut: {shared}; to equal networks: {equal}")


if __name__ == "__main__":
    main()
