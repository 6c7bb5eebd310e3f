"""What a reader leaves beside a program: random inputs, and what the original answers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from secateur_jobs.graph.program import Feed


class NotReadable(ValueError):
    """The files are no model that can be rebuilt; the message says why."""


def inputs_file(folder: Path, run: int) -> Path:
    """Return where a run's inputs are: arrays by the names of the feeds."""
    return folder / f"inputs-{run}.safetensors"


def outputs_file(folder: Path, run: int) -> Path:
    """Return where a run's outputs are: arrays named ``0``, ``1`` ... in the model's order."""
    return folder / f"outputs-{run}.safetensors"


Shapes = Sequence[Sequence[int]] | Mapping[str, Sequence[int]]
"""Of all inputs, in order, batch first; or of some by name, the others being as the model has them."""


def shapes_of(feeds: Sequence[Feed], given: Shapes) -> list[list[int]]:
    """Return the shape of each input, of the model's own where it is not given, with a batch of 1.

    Raises NotReadable where they contradict the model, or a size is open and not given.
    """
    shapes = _by_name(feeds, given) if isinstance(given, Mapping) else [list(shape) for shape in given]
    _check_shapes(feeds, shapes)
    return shapes


def _by_name(feeds: Sequence[Feed], given: Mapping[str, Sequence[int]]) -> list[list[int]]:
    for name in given:
        if name not in {feed.name for feed in feeds}:
            raise NotReadable(f"there is no input {name}; the model has {_said(feeds)}")
    shapes = []
    for feed in feeds:
        own = [1 if size == -1 and axis == 0 else size for axis, size in enumerate(feed.shape)]
        shape = list(given.get(feed.name, own))
        if min(shape, default=0) < 0:
            usual = 320 if len(shape) == 4 else 128
            sizes = "x".join(str(usual if size < 0 else size) for size in shape)
            raise NotReadable(
                f"input {feed.name} is {feed.shape}, -1 being open: say a size, as in --input "
                f"{feed.name}={sizes}"
            )
        shapes.append(shape)
    return shapes


def _said(feeds: Sequence[Feed]) -> str:
    return ", ".join(f"{feed.name} {feed.shape} {feed.dtype}" for feed in feeds)


def _check_shapes(feeds: Sequence[Feed], shapes: Sequence[Sequence[int]]) -> None:
    if len(feeds) != len(shapes):
        raise NotReadable(f"the model has {len(feeds)} inputs ({_said(feeds)}), {len(shapes)} are declared")
    for feed, shape in zip(feeds, shapes, strict=True):
        if len(feed.shape) != len(shape) or any(
            own not in (-1, declared) for own, declared in zip(feed.shape, shape, strict=True)
        ):
            raise NotReadable(f"input {feed.name} is {feed.shape} (-1: any), {list(shape)} is declared")


def batches(feeds: Sequence[Feed], shapes: Sequence[Sequence[int]]) -> list[int | None]:
    """Two where the model leaves the batch open: a batch of 1 does not tell which axis it is.

    None: the shapes as they are declared.
    """
    declared = shapes[0][0]
    is_open = all(feed.shape and feed.shape[0] == -1 for feed in feeds)
    return [max(2, declared), declared + 2] if is_open else [None]


def examples(
    feeds: Sequence[Feed],
    shapes: Sequence[Sequence[int]],
    batch: int | None,
    ids: Mapping[str, int] | None = None,
) -> dict[str, np.ndarray]:
    """Return random inputs: normal, or ids below ``ids`` of the input's name, below 2 without."""
    random = np.random.default_rng(0)
    found = {}
    for feed, shape in zip(feeds, shapes, strict=True):
        whole = list(shape) if batch is None else [batch, *shape[1:]]
        is_float = feed.dtype.startswith("float")
        array = (
            random.standard_normal(whole)
            if is_float
            else random.integers(0, (ids or {}).get(feed.name, 2), whole)
        )
        found[feed.name] = array.astype(feed.dtype)
    return found
