"""Modes of the whole process that user code may change for itself, and must not change for others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from secateur_jobs.paddle_env import paddle


@dataclass
class Modes:
    """What user code left behind."""

    static: bool = False
    """It switched Paddle to static mode."""


@contextmanager
def as_before() -> Iterator[Modes]:
    """Let user code run, then bring back dynamic mode, the default type, and gradients.

    The current folder stays where the user's code goes: data sets may open files by relative paths later.
    """
    modes, dtype, gradients = Modes(), paddle.get_default_dtype(), paddle.is_grad_enabled()
    try:
        yield modes
    finally:
        if not paddle.in_dynamic_mode():
            modes.static = True
            paddle.disable_static()
        paddle.set_default_dtype(dtype)
        paddle.set_grad_enabled(gradients)
