"""Items read by other processes: the same bytes for any number of them, the same words for what is wrong."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from secateur_api.conditions import Reason
from secateur_api.spec import Data, Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.runtime.errors import InvalidInput, Retryable
from secateur_jobs.training.batching import ArrayDataset, with_one_label_column
from secateur_jobs.training.evaluate import evaluate, evaluate_with
from secateur_jobs.training.forward import forward
from secateur_jobs.training.held import hold_back
from secateur_jobs.training.reading import ReadBy, in_batches
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.train import train
from secateur_jobs.user_code import Splits, load_data

pytestmark = pytest.mark.paddle
BATCHES = np.array_split(np.arange(40), 5)


class Noisy(paddle.io.Dataset):
    """Each item draws from the global generators, as an augmentation does."""

    def __init__(self, wrong: str = "", labels: int = 1) -> None:
        super().__init__()
        self.wrong, self.labels, self.process = wrong, labels, os.getpid()

    def __getitem__(self, index: int):
        if index == 23 and self.wrong == "killed" and os.getpid() != self.process:
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 23 and self.wrong == "raises":
            raise ValueError("no such picture")
        noise = np.random.normal(size=(1, 8, 8)).astype("float32") + float(paddle.rand([1]))
        return (noise + index % 4, *[np.int64(index % 4)] * self.labels)

    def __len__(self) -> int:
        return 400


def noisy() -> tuple[Noisy, Noisy]:
    return Noisy(), Noisy()


def in_memory() -> tuple[ArrayDataset, ArrayDataset]:
    one = ArrayDataset([np.zeros((4, 1), "float32"), np.zeros(4, "int64")])
    return one, one


@pytest.mark.parametrize("labels", [1, 2])
def test_batches_are_the_same_for_any_number_of_workers(labels: int) -> None:
    dataset = with_one_label_column(Noisy(labels=labels), 1)
    read = [list(in_batches(ReadBy(dataset, workers), BATCHES, (3,))) for workers in (0, 1, 2, 7)]
    assert all(
        one.tobytes() == other.tobytes() and one.dtype == other.dtype
        for again in read[1:]
        for batch, same in zip(read[0], again, strict=True)
        for one, other in zip(batch, same, strict=True)
    )
    others = list(in_batches(ReadBy(dataset, 2), BATCHES, (4,)))
    assert others[0][0].tobytes() != read[0][0][0].tobytes(), "another pass, other noise"


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_wrong_is_said_as_without_workers(workers: int) -> None:
    with pytest.raises(InvalidInput, match="Noisy: item 23 raised ValueError: no such picture") as error:
        list(in_batches(ReadBy(Noisy("raises"), workers), BATCHES))
    assert error.value.reason is Reason.DATASET_INVALID


def test_a_killed_reader_is_a_fault_that_passes() -> None:
    with pytest.raises(
        Retryable, match=r"spec\.data\.workers: a process that reads items was killed"
    ) as error:
        list(in_batches(ReadBy(Noisy("killed"), 2), BATCHES))
    assert error.value.reason is Reason.WORKER_LOST


def test_training_and_its_evaluation_give_equal_bytes() -> None:
    results = []
    for workers in (0, 2):
        splits = load_data(Data(factory="tests.jobs.test_reading:noisy", workers=workers), 1)
        parts = hold_back(Splits(*splits), 0)
        seed_everything(1)
        net = paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Dropout(0.5), paddle.nn.Linear(64, 4))
        losses = train(net, parts.train, Evaluation(), epochs=2, learning_rate=0.01, batch_size=64)
        metrics = [evaluate(net, data, Evaluation(batch_size=50)) for data in (parts.choosing, parts.eval)]
        tally = evaluate_with(lambda i, net=net: forward(net, i).arrays(), parts.eval, Evaluation(), 64)
        results.append((losses, metrics, tally.value(), [p.numpy().tobytes() for p in net.parameters()]))
    assert results[0] == results[1]


def test_arrays_in_memory_need_no_readers() -> None:
    splits = load_data(Data(factory="tests.jobs.test_reading:in_memory", workers=2), 1)
    assert isinstance(splits.train, ArrayDataset)


def test_who_reads_does_not_name_a_result() -> None:
    one, other = (Data(factory="a:b", workers=workers) for workers in (0, 3))
    assert one.decides() == other.decides()
