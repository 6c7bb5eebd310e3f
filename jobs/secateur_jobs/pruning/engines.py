"""The engines that there are."""

from __future__ import annotations

from secateur_api.spec import Engine, InputSpec
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import PruningEngine
from secateur_jobs.pruning.native.engine import NativeEngine
from secateur_jobs.pruning.paddleslim_engine import PaddleSlimEngine


def make_engine(name: Engine, net: paddle.nn.Layer, inputs: list[InputSpec]) -> PruningEngine:
    """Return the engine that the spec names, with the net's groups found but not yet proven."""
    if name in (Engine.AUTO, Engine.NATIVE):
        return NativeEngine(net, inputs)
    if name is Engine.PADDLESLIM:
        return PaddleSlimEngine(net, inputs)
    raise ValueError(f"no engine is named {name!r}")
