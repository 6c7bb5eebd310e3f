"""Compare what the two engines make of one net."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from secateur_api.spec import InputSpec
from secateur_jobs import checkpoint
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import Keep, PruningEngine
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.pruning.paddleslim_engine import PaddleSlimEngine


@dataclass(frozen=True)
class Agreement:
    """The groups that both engines can cut, by name."""

    shared: int
    unequal: list[str]
    """Those of a layer whose tensors the engines' cuts make different in any bit."""


def agreement(net: paddle.nn.Layer, inputs: list[InputSpec]) -> Agreement:
    """Cut all groups that both engines find to two thirds, the same channels, with each, and compare."""
    native, theirs = NativeEngine(net, inputs), PaddleSlimEngine(net, inputs)
    names = {group.name for group in theirs.groups}
    shared = [group for group in native.groups if group.name in names]
    random = np.random.default_rng(2)
    keep = {g.name: g.choose(random.random(g.channels), max(1, g.channels * 2 // 3)) for g in shared}
    ours, slim = _cut(native, keep), _cut(theirs, keep)
    different = {name.rpartition(".")[0] for name in ours.keys() ^ slim.keys()} | {
        name.rpartition(".")[0] for name in ours.keys() & slim.keys() if not _equal(ours[name], slim[name])
    }
    touched = {group.name: {piece.layer for piece in group.slices} for group in shared}
    return Agreement(len(shared), [name for name, layers in touched.items() if layers & different])


def _cut(engine: PruningEngine, keep: Keep) -> dict[str, np.ndarray]:
    engine.cut(keep)
    try:
        return checkpoint.state(engine.net)
    finally:
        engine.restore()


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()
