"""Training on items that take long to read, with processes that read ahead (``make bench-reading``).

Each item is decoded from a picture and waits so that it takes 20 ms; the numbers of workers take turns. The
weights of all must be equal to the bit.
"""

from __future__ import annotations

import argparse
import io
import time

import numpy as np
from PIL import Image

from secateur_api.spec import Evaluation
from secateur_jobs.paddle_env import paddle
from secateur_jobs.training.reading import ReadBy
from secateur_jobs.training.seeding import seed_everything
from secateur_jobs.training.train import train
from secateur_jobs.zoo.digits import residual_net

_SECONDS = 0.020


class Pictures(paddle.io.Dataset):
    """Grey pictures as JPEG in memory, decoded at each read."""

    def __init__(self, count: int) -> None:
        super().__init__()
        random = np.random.default_rng(0)
        self._files = [_jpeg(random.integers(0, 256, (32, 32), np.uint8)) for _ in range(count)]

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int64]:
        begin = time.monotonic()
        pixels = np.asarray(Image.open(io.BytesIO(self._files[index])), np.float32)[None] / 255
        time.sleep(max(0.0, _SECONDS - (time.monotonic() - begin)))
        return pixels + np.random.normal(0, 0.01, pixels.shape).astype(np.float32), np.int64(index % 10)

    def __len__(self) -> int:
        return len(self._files)


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def measure(dataset: Pictures, workers: int) -> tuple[float, bytes]:
    """Return the seconds of one epoch, and the weights."""
    seed_everything(0)
    net = residual_net()
    begin = time.monotonic()
    train(net, ReadBy(dataset, workers), Evaluation(), epochs=1, learning_rate=0.001, batch_size=32)
    return time.monotonic() - begin, b"".join(p.numpy().tobytes() for p in net.parameters())


def main() -> None:
    """Measure each number of workers in turns and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=512)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2, 4])
    options = parser.parse_args()
    dataset = Pictures(options.items)
    measure(Pictures(32), 0)  # what only a first step does
    turns = [[measure(dataset, workers) for workers in options.workers] for _ in range(options.turns)]
    print("| workers | seconds an epoch | times as fast (least..most) | weights |")
    print("| --- | --- | --- | --- |")
    for index, workers in enumerate(options.workers):
        ratios = [turn[0][0] / turn[index][0] for turn in turns]
        same = {turn[index][1] for turn in turns} == {turns[0][0][1]}
        print(
            f"| {workers} | {np.median([turn[index][0] for turn in turns]):.1f} | {np.median(ratios):.2f} "
            f"({min(ratios):.2f}..{max(ratios):.2f}) | {'equal to the bit' if same else 'DIFFER'} |"
        )


if __name__ == "__main__":
    main()
