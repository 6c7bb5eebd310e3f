"""One seed for every random generator that a network or a user's data set may draw from."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from secateur_jobs.paddle_env import paddle


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and Paddle's global generators; ``seed`` is 0..2**31-1."""
    random.seed(seed)
    np.random.seed(seed)
    paddle.seed(seed)


@contextmanager
def generators_kept() -> Iterator[None]:
    """Bring the same generators back to where they were, whatever is drawn within."""
    python, array, network = random.getstate(), np.random.get_state(), paddle.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(array)
        paddle.set_rng_state(network)
