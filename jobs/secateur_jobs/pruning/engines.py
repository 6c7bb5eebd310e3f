"""The engines that there are."""

from __future__ import annotations

import numpy as np

from secateur_api.spec import Engine, InputSpec
from secateur_jobs.graph.network import GraphNetwork
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import PruningEngine
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.pruning.paddleslim_engine import PaddleSlimEngine


def make_engine(
    name: Engine,
    net: paddle.nn.Layer,
    inputs: list[InputSpec],
    labels: np.ndarray | None = None,
    inspects: bool = False,
) -> PruningEngine:
    """Return the engine that the spec names, with the net's groups found but not yet proven.

    ``labels`` are those of a sample, for a ``forward`` that asks for them in training; where it ``inspects``,
    it does without them, and nothing must be cut.
    """
    if name in (Engine.AUTO, Engine.NATIVE):
        engine = NativeEngine(net, inputs, labels, inspects)
        if isinstance(net, GraphNetwork):
            net.follow(engine.groups)
        return engine
    if name is Engine.PADDLESLIM:
        return PaddleSlimEngine(net, inputs)
    raise ValueError(f"no engine is named {name!r}")
