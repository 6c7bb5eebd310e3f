"""Samples without labels as two sets: some to train on, others to measure on."""

from __future__ import annotations

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.batching import ArrayDataset, gather
from secateur_jobs.user_code import Splits

_KEPT = 256 * 2**20
"""Bytes of inputs that are kept in memory; more are read anew each time."""


def apart(samples: int, eval_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers, ascending, of those to train on and of those to measure on, at least one each.

    ``seed`` and how many there are decide it alone.
    """
    order = np.random.default_rng(seed).permutation(samples)
    count = min(max(1, round(samples * eval_share)), samples - 1)
    return np.sort(order[count:]), np.sort(order[:count])


def is_small(nbytes: int) -> bool:
    """Whether inputs of so many bytes are read once and for all."""
    return nbytes <= _KEPT


def in_memory(train: paddle.io.Dataset, evaluation: paddle.io.Dataset, nbytes: int) -> Splits:
    """Return the sets, read once and for all where their inputs of ``nbytes`` are few."""
    if not is_small(nbytes):
        return Splits(train, evaluation)
    return Splits(*(ArrayDataset(gather(one, range(len(one)))) for one in (train, evaluation)))


def counted(what: str, found: Splits) -> str:
    """Say how many are for what."""
    train, measured = map(len, found)
    return f"of {train + measured} {what} {train} are trained on and {measured} measured on"


def too_few(found: int, one: str) -> str:
    """Say that there are not two samples, each of which is called ``one``."""
    return f"{found or 'no'} {one}{'s' * (not found)}; at least 2 are needed, some hundreds are useful"
