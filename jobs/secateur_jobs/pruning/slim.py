"""The one door to PaddleSlim 2.6.0: its pruning modules without the rest, and every shim that they need.

Importing ``paddleslim`` pulls in matplotlib, OpenCV, SciPy and more (1.1 s, 100 MB), none of it for pruning.
Here its packages are entered as empty shells and only the modules that prune are loaded (0.01 s).

Shims, each with a test:

* operators that keep the shape but are unknown to PaddleSlim (:data:`SHAPE_KEEPING`);
* a worker for ``reduce_mean``, which PaddleSlim skips: the layer behind it kept its inputs;
* a worker for ``prelu``, whose slopes (one per channel) go with the channels;
* a failing ``forward`` leaves Paddle in static mode, and everything after it fails (:func:`trace`);
* its loggers print to stderr at INFO level.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import math
import os
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from secateur_jobs.paddle_env import paddle

SHAPE_KEEPING = (
    "silu",
    "elu",
    "mish",
    "tanh",
    "softplus",
    "hard_tanh",
    "brelu",
    "celu",
    "selu",
    "abs",
)
_PACKAGES = ("common", "prune", "core", "analysis", "dygraph", "dygraph.prune")
_RE_EXPORTED = (
    ("common", "common.log_helper", ("get_logger",)),
    ("core", "core.registry", ("Registry",)),
    ("core", "core.graph_wrapper", ("GraphWrapper", "VarWrapper", "OpWrapper")),
    ("core", "core.dygraph", ("dygraph2program",)),
    ("prune", "prune.collections", ("PruningCollections",)),
    ("analysis", "analysis.flops", ("dygraph_flops",)),
)


@cache
def module(name: str) -> Any:
    """Return a module of PaddleSlim, such as ``prune.prune_worker``; raises ModuleNotFoundError."""
    _enter_packages()
    loaded = importlib.import_module(f"paddleslim.{name}")
    _silence()
    return loaded


@cache
def _enter_packages() -> None:
    if "paddleslim" not in sys.modules:
        found = importlib.util.find_spec("paddleslim")
        if found is None or found.origin is None:
            raise ModuleNotFoundError("paddleslim is not installed (paddleslim==2.6.0, with --no-deps)")
        _shell("paddleslim", Path(found.origin).parent)
        for package in _PACKAGES:
            _shell(f"paddleslim.{package}", Path(found.origin).parent / package.replace(".", "/"))
        for package, source, names in _RE_EXPORTED:
            for name in names:
                value = getattr(importlib.import_module(f"paddleslim.{source}"), name)
                setattr(sys.modules[f"paddleslim.{package}"], name, value)
    workers = importlib.import_module("paddleslim.prune.prune_worker")
    workers.OPS_UNCHANGE_SHAPE.extend(op for op in SHAPE_KEEPING if op not in workers.OPS_UNCHANGE_SHAPE)
    _register_reduce_mean(workers)
    _register_prelu(workers)


def _shell(name: str, folder: Path) -> None:
    package = types.ModuleType(name)
    package.__path__ = [os.fspath(folder)]
    sys.modules[name] = package


def _silence() -> None:
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("paddleslim"):
            logging.getLogger(name).setLevel(logging.ERROR)


def _register_reduce_mean(workers: Any) -> None:
    """Teach PaddleSlim that a mean over other axes keeps the channels (``x.mean([2, 3])``)."""

    class reduce_mean(workers.PruneWorker):
        def _prune(self, var: Any, pruned_axis: int, transforms: list[dict[str, int]]) -> None:
            source, result = self.op.inputs("X")[0], self.op.outputs("Out")[0]
            rank = len(source.shape())
            averaged = {dim % rank for dim in self.op.attr("dim")}
            if self.op.attr("reduce_all") or len(averaged) == rank:
                raise workers.UnsupportOpError("Unsupported operator named reduce_mean over all axes")
            kept = [axis for axis in range(rank) if axis not in averaged]
            position = list(range(rank)) if self.op.attr("keep_dim") else kept
            if var.name() == source.name():
                if pruned_axis in averaged:
                    raise workers.UnsupportOpError("Unsupported operator named reduce_mean over the channels")
                self._visit_and_search(result, position.index(pruned_axis), transforms)
            else:
                self._visit_and_search(source, position[pruned_axis], transforms)

    if workers.PRUNE_WORKER.get("reduce_mean") is None:
        workers.PRUNE_WORKER.register(reduce_mean)


def _register_prelu(workers: Any) -> None:
    """Teach PaddleSlim that PReLU keeps the shape, and that its slopes are cut with the channels."""

    class prelu(workers.PruneWorker):
        def _prune(self, var: Any, pruned_axis: int, transforms: list[dict[str, int]]) -> None:
            slopes = self.op.inputs("Alpha")[0]
            count = math.prod(slopes.shape())
            if count > 1:
                self.append_pruned_vars(slopes, list(slopes.shape()).index(count), transforms)
            for other in (*self.op.inputs("X"), *self.op.outputs("Out")):
                if other.name() != var.name():
                    self._visit_and_search(other, pruned_axis, transforms)

    if workers.PRUNE_WORKER.get("prelu") is None:
        workers.PRUNE_WORKER.register(prelu)


def trace(net: paddle.nn.Layer, inputs: list[np.ndarray]) -> Any:
    """Return PaddleSlim's graph (GraphWrapper) of one forward on the inputs; the net is left as it was.

    Raises whatever ``forward`` raises in static mode; dynamic mode is on again in any case.
    """
    core = module("core.graph_wrapper")
    to_program = module("core.dygraph").dygraph2program
    try:
        return core.GraphWrapper(to_program(net, inputs=inputs))
    finally:
        paddle.disable_static()
