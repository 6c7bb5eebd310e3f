"""Batches of a data set, read ahead by worker processes where the user asks for them.

A batch is the same for any number of workers: what an item draws from the global generators (augmentation)
follows from the batch's place in the pass, not from the process that reads it.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import numpy as np

from secateur_api.conditions import Reason
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, Retryable
from secateur_jobs.training.batching import ArrayDataset, Part, Wrapped, gather, spread
from secateur_jobs.training.seeding import generators_kept, seed_everything

Seed = tuple[int, ...]
_PR_SET_PDEATHSIG = 1
_AHEAD = 2
"""Batches that each process may be ahead of what uses them."""


class ReadBy(Wrapped):
    """A data set whose batches so many other processes read; 0: this process reads them itself."""

    def __init__(self, dataset: paddle.io.Dataset, workers: int) -> None:
        super().__init__(dataset)
        self.workers = workers


def in_batches(
    dataset: paddle.io.Dataset, batches: Sequence[np.ndarray], seed: Seed = ()
) -> Iterator[list[np.ndarray]]:
    """Yield the columns of each batch of indices, in order; ``seed`` is that of the pass.

    Raises what ``batching.gather`` raises, and Retryable(WORKER_LOST) where a reading process is killed.
    """
    workers = min(_workers_of(dataset), len(batches))
    seeds = [(*seed, index) for index in range(len(batches))]
    if workers == 0:
        yield from (_read(dataset, *one) for one in zip(batches, seeds, strict=True))
        return
    # not paddle.io.DataLoader (3.1.1): it waits for ever where one of its processes is killed
    pool = ProcessPoolExecutor(workers, get_context("fork"), _begin, (dataset,))
    try:
        yield from _ahead(pool, batches, seeds, _AHEAD * workers)
    except BrokenProcessPool:
        raise Retryable(
            Reason.WORKER_LOST,
            "spec.data.workers: a process that reads items was killed, perhaps for want of memory",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(
    dataset: paddle.io.Dataset, batch_size: int, fraction: float = 1.0
) -> Iterator[list[np.ndarray]]:
    """Yield a share of a data set in order, in batches of at most ``batch_size``."""
    indices = spread(len(dataset), fraction)
    return in_batches(dataset, [indices[s : s + batch_size] for s in range(0, len(indices), batch_size)])


def _ahead(
    pool: ProcessPoolExecutor, batches: Sequence[np.ndarray], seeds: list[Seed], ahead: int
) -> Iterator[list[np.ndarray]]:
    waiting: deque[Future[list[np.ndarray] | tuple[Reason, str]]] = deque()
    for work in zip(batches, seeds, strict=True):
        waiting.append(pool.submit(_read_there, *work))
        if len(waiting) > ahead:
            yield _columns_of(waiting.popleft())
    while waiting:
        yield _columns_of(waiting.popleft())


def _columns_of(read: Future[list[np.ndarray] | tuple[Reason, str]]) -> list[np.ndarray]:
    found = read.result()
    if isinstance(found, tuple):
        raise InvalidInput(*found)
    return found


_SOURCE: list[paddle.io.Dataset] = []
"""In a process that reads: its data set, which came with the fork."""


def _begin(dataset: paddle.io.Dataset) -> None:
    if sys.platform == "linux":  # a killed stage leaves nothing behind
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the stage ends first, then its readers
    _SOURCE[:] = [dataset]


def _read_there(indices: np.ndarray, seed: Seed) -> list[np.ndarray] | tuple[Reason, str]:
    try:
        return _read(_SOURCE[0], indices, seed)
    except InvalidInput as error:
        return error.reason, error.message


def _read(dataset: paddle.io.Dataset, indices: np.ndarray, seed: Seed) -> list[np.ndarray]:
    if isinstance(dataset, ArrayDataset):
        return gather(dataset, indices)
    with generators_kept():
        seed_everything(int(np.random.SeedSequence(seed).generate_state(1)[0]) % 2**31)
        return gather(dataset, indices)


def _workers_of(dataset: paddle.io.Dataset) -> int:
    while isinstance(dataset, (Part, Wrapped)):
        if isinstance(dataset, ReadBy):
            return dataset.workers
        dataset = dataset.dataset
    return 0
