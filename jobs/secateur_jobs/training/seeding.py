"""One seed for every random generator that a network or a user's data set may draw from."""

from __future__ import annotations

import random

import numpy as np

from secateur_jobs.paddle_env import paddle


def seed_everything(seed: int) -> None:
    """Seed Python's, numpy's and Paddle's global generators; ``seed`` is 0..2**31-1."""
    random.seed(seed)
    np.random.seed(seed)
    paddle.seed(seed)
