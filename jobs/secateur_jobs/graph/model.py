"""The factory for a model that is only there as exported files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from secateur_jobs.graph.files import rebuild
from secateur_jobs.graph.network import GraphNetwork


def exported(file: str, shapes: list[list[int]]) -> GraphNetwork:
    """Return the network of ``inference.pdmodel``, ``inference.json`` or ``.onnx``, with its trained weights.

    ``file`` is a path as the stages see it; a ``.pdiparams`` lies beside it. ``shapes`` are those of the
    inputs, batch first, as in ``spec.model.inputs``. Raises NotRebuilt, a ValueError that says why.
    """
    with tempfile.TemporaryDirectory(prefix="secateur-exported-") as scratch:
        return rebuild(Path(file), shapes, Path(scratch))[0]
