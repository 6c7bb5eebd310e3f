"""Other ``forward`` functions for some layers of a net, for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from secateur_jobs.paddle_env import paddle

Forward = Callable[..., Any]


class Forwards:
    """The layers whose ``forward`` is another one now. An instance's own, where it had one, comes back."""

    def __init__(self) -> None:
        self._before: list[tuple[paddle.nn.Layer, Forward | None]] = []

    def put(self, layer: paddle.nn.Layer, forward: Forward) -> None:
        """Let ``layer`` run ``forward``."""
        self._before.append((layer, layer.__dict__.get("forward")))
        layer.__dict__["forward"] = forward

    def restore(self) -> None:
        """Take all back, the last first."""
        while self._before:
            layer, own = self._before.pop()
            if own is None:
                layer.__dict__.pop("forward", None)
            else:
                layer.__dict__["forward"] = own


@contextmanager
def other_forwards(forwards: Mapping[paddle.nn.Layer, Forward]) -> Iterator[None]:
    """While it lasts, layers run what ``forwards`` says."""
    put = Forwards()
    try:
        for layer, forward in forwards.items():
            put.put(layer, forward)
        yield
    finally:
        put.restore()
