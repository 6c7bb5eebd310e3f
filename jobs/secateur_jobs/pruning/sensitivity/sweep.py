"""Outputs of one net under many cuts, one batch at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.engine import ChannelGroup
from secateur_jobs.pruning.layers import named_layers
from secateur_jobs.pruning.masking import Mask
from secateur_jobs.pruning.sensitivity.replay import Diverged, Recorder
from secateur_jobs.training.forward import eval_mode, forward, read
from secateur_jobs.training.outputs import Outputs

MEMORY_BYTES = 2 * 2**30
"""Most that one batch's activations may take."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Cut:
    """One group's cut: which channels stay when a share of them goes."""

    group: ChannelGroup
    ratio: float
    keep: np.ndarray
    """One bool per channel."""

    @classmethod
    def of(cls, group: ChannelGroup, ratio: float, scores: np.ndarray) -> Cut:
        """Return the cut of a share (0..1) of a group's channels, those of the lowest scores."""
        width = max(1, group.channels - round(group.channels * ratio))
        return cls(group, ratio, group.choose(scores, width))


@dataclass(frozen=True)
class Result:
    """What the net gives for one batch. ``cut`` is None for the uncut net."""

    cut: Cut | None
    outputs: Outputs
    """As arrays."""
    seconds: float


@dataclass
class Sweep:
    """Runs batches through the uncut net and through cuts of it. Use inside :meth:`open`.

    Each group's first replay is compared bit for bit with a run of the whole net; where they differ (a layer
    that draws random numbers, weights that are read around their layer) the group is always run whole.
    """

    net: paddle.nn.Layer
    memory_bytes: int = MEMORY_BYTES
    notes: list[str] = field(default_factory=list)
    """What could not be done the quick way, for the user."""
    peak_bytes: int = 0
    """Most that the activations of one batch took."""
    _checked: dict[str, bool] = field(default_factory=dict)
    _changed: dict[str, list[paddle.nn.Layer]] = field(default_factory=dict)

    @contextmanager
    def open(self) -> Iterator[Sweep]:
        """While it lasts, the net is in evaluation mode and can be swept; it is as before afterwards."""
        self._layers = named_layers(self.net)
        self._recorder = Recorder(self.net, self.memory_bytes)
        with eval_mode(self.net), paddle.no_grad(), self._recorder.attached():
            yield self

    def run(self, inputs: Sequence[np.ndarray], cuts: Sequence[Cut], uncut: bool = True) -> Iterator[Result]:
        """Yield the outputs of the uncut net and of each of ``cuts`` (those of one group side by side).

        Without ``uncut`` that net is run only as far as the cuts need it, and its outputs are not yielded.
        """
        if uncut:
            begin = time.perf_counter()
            outputs = read(self._recorder.record(_tensors(inputs))).arrays()
            yield Result(None, outputs, time.perf_counter() - begin)
        else:
            self._recorder.record(_tensors(inputs), until=self._changed_by(cuts))
        self.peak_bytes = max(self.peak_bytes, self._recorder.held_bytes)
        for _, members in groupby(cuts, key=lambda cut: cut.group.name):
            yield from self._run_group(inputs, list(members))

    def _changed_by(self, cuts: Sequence[Cut]) -> list[list[paddle.nn.Layer]]:
        """Return for each group the layers that its cuts change."""
        groups = {cut.group.name: cut.group for cut in cuts}
        for name, group in groups.items():
            if name not in self._changed:
                self._changed[name] = Mask(self._layers, [group]).layers
        return [self._changed[name] for name in groups]

    def _run_group(self, inputs: Sequence[np.ndarray], cuts: list[Cut]) -> Iterator[Result]:
        mask = Mask(self._layers, [cuts[0].group])
        start = self._recorder.first_call(mask.layers)
        try:
            for cut in reversed(cuts):  # the largest cut first: it is the one to check on
                begin = time.perf_counter()
                mask.apply({cut.group.name: cut.keep})
                outputs = self._outputs(inputs, cut.group.name, start)
                yield Result(cut, outputs, time.perf_counter() - begin)
        finally:
            mask.remove()

    def _outputs(self, inputs: Sequence[np.ndarray], group: str, start: int | None) -> Outputs:
        if not self._checked.get(group, True):
            return self._whole(inputs)
        if start is None:
            return self._give_up(group, "no layer that consumes it is called", self._whole(inputs))
        try:
            outputs = read(self._recorder.replay(_tensors(inputs), start)).arrays()
        except Diverged as error:
            return self._give_up(group, str(error), self._whole(inputs))
        if group not in self._checked:
            whole = self._whole(inputs)
            if not _equal(whole, outputs):
                return self._give_up(group, "two runs of the net differ", whole)
            self._checked[group] = True
        return outputs

    def _whole(self, inputs: Sequence[np.ndarray]) -> Outputs:
        return forward(self.net, inputs).arrays()

    def _give_up(self, group: str, why: str, outputs: Outputs) -> Outputs:
        self._checked[group] = False
        note = f"{group}: each cut runs the whole net, since {why}"
        _log.warning(note)
        self.notes.append(note)
        return outputs


def _equal(one: Outputs, other: Outputs) -> bool:
    return one.structure == other.structure and all(
        np.array_equal(array, other.tensors[name], equal_nan=array.dtype.kind == "f")
        for name, array in one.tensors.items()
    )


def _tensors(inputs: Sequence[np.ndarray]) -> list[paddle.Tensor]:
    """Return new tensors for one run: a net may change its inputs in place."""
    return [paddle.to_tensor(array) for array in inputs]
