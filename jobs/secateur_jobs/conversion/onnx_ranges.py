"""The ranges of what flows in an ONNX model, seen on samples: what uint8 has to hold.

Histograms and the choice of a range by relative entropy are those of Migacz, "8-bit Inference with TensorRT",
2017.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import onnx

from secateur_api.conditions import Reason
from secateur_jobs.conversion.batches import Batch
from secateur_jobs.runtime.errors import InvalidInput

_BINS = 2048
_LEVELS = 128
_PERCENT = 99.99


class Calibration(Enum):
    """How a range follows from what was seen."""

    MINMAX = "minmax"
    """All that was seen."""
    PERCENTILE = "percentile"
    """All but 0.01 % of the numbers."""
    ENTROPY = "entropy"
    """That whose numbers, rounded, tell most of how they are spread."""


@dataclass
class Range:
    """The range of one value."""

    low: float
    high: float
    positions: int
    """Numbers of one channel of one sample: rows times columns of a feature map."""

    @property
    def scale(self) -> np.float32:
        """The step of uint8."""
        return np.float32((self.high - self.low) / 255)

    @property
    def zero(self) -> np.uint8:
        """The uint8 number that stands for 0."""
        return np.uint8(np.clip(np.rint(-self.low / float(self.scale)), 0, 255))


def ranges(
    proto: onnx.ModelProto, values: Sequence[str], samples: Sequence[Batch], calibration: Calibration
) -> dict[str, Range]:
    """Return the range of each value, with 0 in it; a value that is 0 on all samples has none.

    ``samples`` are batches of the model's inputs in its order. Raises InvalidInput (DATASET_INVALID) where
    they tell nothing, or a value is not finite.
    """
    _check(samples)
    found: dict[str, Range] = {}
    for name, array in _runs(proto, values, samples):
        low, high = min(float(array.min()), 0.0), max(float(array.max()), 0.0)
        if not np.isfinite(low + high):
            raise InvalidInput(
                Reason.DATASET_INVALID,
                f"the calibration samples make {name} not finite; leave out the samples that do",
            )
        seen = found.get(name, Range(0.0, 0.0, int(np.prod(array.shape[2:]))))
        found[name] = Range(min(low, seen.low), max(high, seen.high), seen.positions)
    found = {name: one for name, one in found.items() if one.scale > np.finfo(np.float32).tiny}
    if calibration is Calibration.MINMAX:
        return found
    limits = {name: max(-one.low, one.high) for name, one in found.items()}
    counts = {name: np.zeros(_BINS, np.int64) for name in found}
    for name, array in _runs(proto, list(found), samples):
        counts[name] += np.histogram(np.abs(array), _BINS, (0.0, limits[name]))[0]
    choose = _percentile if calibration is Calibration.PERCENTILE else _entropy
    return {name: _clipped(one, limits[name], counts[name], choose) for name, one in found.items()}


def _check(samples: Sequence[Batch]) -> None:
    if not samples or not all(array.size for batch in samples for array in batch):
        raise InvalidInput(
            Reason.DATASET_INVALID, "there are no calibration samples; give some, as the model will meet them"
        )
    inputs = list(zip(*samples, strict=True))
    if all(min(a.min() for a in arrays) == max(a.max() for a in arrays) for arrays in inputs):
        raise InvalidInput(
            Reason.DATASET_INVALID,
            f"the calibration samples are {inputs[0][0].flat[0]:g} everywhere, which tells no range; give "
            "samples as the model will meet them",
        )


def _runs(
    proto: onnx.ModelProto, values: Sequence[str], samples: Sequence[Batch]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what each value is on each of the samples."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it sends names and hashes of models to its maker
    import onnxruntime

    inputs = [one.name for one in proto.graph.input]
    computed = [name for name in values if name not in inputs]
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in computed or [inputs[0]])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for batch in samples:
        given = dict(zip(inputs, batch, strict=True))
        yield from ((name, given[name]) for name in values if name in given)
        if computed:
            yield from zip(computed, session.run(computed, given), strict=True)


Choice = Callable[[np.ndarray], int]
"""Counts of numbers by size, to how many of the bins to hold."""


def _clipped(one: Range, limit: float, counts: np.ndarray, choose: Choice) -> Range:
    limit *= choose(counts) / len(counts)
    return Range(max(one.low, -limit), min(one.high, limit), one.positions)


def _percentile(counts: np.ndarray) -> int:
    return int(np.searchsorted(np.cumsum(counts), _PERCENT / 100 * counts.sum())) + 1


def _entropy(counts: np.ndarray) -> int:
    counts = counts.astype(np.float64)
    counts[0] = counts[1]  # zeros, of a ReLU, are exact in any range
    found = {bins: _divergence(counts, bins) for bins in range(_LEVELS, _BINS + 1, 16)}
    return min(found, key=lambda bins: found[bins])


def _divergence(counts: np.ndarray, bins: int) -> float:
    """Return how much less is told by ``bins`` of the counts, cut off there, at _LEVELS levels."""
    held = counts[:bins]
    cut = held.copy()
    cut[-1] += counts[bins:].sum()
    level = np.arange(bins) * _LEVELS // bins
    filled = held > 0
    mean = np.bincount(level, held, _LEVELS) / np.maximum(np.bincount(level, filled, _LEVELS), 1)
    told = np.where(filled, mean[level], 0.0)
    p, q = cut / max(cut.sum(), 1e-30), told / max(told.sum(), 1e-30)
    some = p > 0
    return float((p[some] * np.log(p[some] / np.maximum(q[some], 1e-12))).sum())
