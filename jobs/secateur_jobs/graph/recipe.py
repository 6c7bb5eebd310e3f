"""A graph as text: beside its tensors, all that it takes to build it again without what it was made of.

Weights are not in it, only the shapes that they had uncut. It is data for the same fixed operators as any
program's: reading it runs no code of whoever wrote it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from secateur_jobs.graph.network import GraphNetwork
from secateur_jobs.graph.of_module import ModuleGraph
from secateur_jobs.graph.program import from_plain
from secateur_jobs.paddle_env import paddle

_LARGEST = 2**22
"""Characters of a recipe; a graph with a longer one, which has large constants, is kept without."""
_LARGEST_READ = 2**27
"""Bytes of a recipe once unpacked."""
_DEFAULTS = {"optimize_attr": {"learning_rate": 1.0}, "regularizer": None, "need_clip": True}


def written(net: paddle.nn.Layer) -> str | None:
    """Return the recipe of a graph; None for other networks, and for a graph that it would not tell whole."""
    if not isinstance(net, GraphNetwork) or not all(_is_usual(one) for one in net.parameters()):
        return None
    fixed = [name for name, one in net.named_sublayers() if getattr(one, "_use_global_stats", None)]
    text = json.dumps({**net.description, "fixed": fixed}, sort_keys=True).encode()
    packed = base64.b64encode(zlib.compress(text, 9)).decode()
    return packed if len(packed) <= _LARGEST and len(text) <= _LARGEST_READ else None


def built(recipe: str, tensors: Mapping[str, np.ndarray]) -> GraphNetwork:
    """Return the uncut graph; of ``tensors`` it has those alone that no training changes, such as indices.

    Raises errors of all sorts for a recipe that is damaged, or tensors of another graph.
    """
    plain = json.loads(zlib.decompressobj().decompress(base64.b64decode(recipe), _LARGEST_READ))
    arrays = {name: _zeros(kind) for name, kind in plain["parameters"].items()}
    arrays |= {name: tensors[own].reshape(arrays[name].shape) for name, own in plain["held"].items()}
    program, example = from_plain(plain["program"], arrays), [_zeros(kind) for kind in plain["inputs"]]
    with paddle.utils.unique_name.guard():
        if "structure" not in plain:
            return GraphNetwork(program, example)
        graph = ModuleGraph(program, example, plain["structure"], frozenset(plain["trained"]))
    layers = dict(graph.named_sublayers())
    for name in plain["fixed"]:
        layers[name]._use_global_stats = True
    return graph


def _is_usual(parameter: paddle.Tensor) -> bool:
    """Whether it trains as a new parameter does."""
    return all(getattr(parameter, name, usual) == usual for name, usual in _DEFAULTS.items())


def _zeros(kind: Sequence[Any]) -> np.ndarray:
    dtype, shape = kind
    return np.zeros(shape, dtype)
