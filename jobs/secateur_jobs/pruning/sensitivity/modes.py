"""From cuts to points: by the mode that is asked for.

``fisher`` estimates what each cut costs from one backward sweep, for an order and a first look, not to
decide. To second order, with the Fisher information in place of the Hessian (Liu et al., "Group Fisher
Pruning for Practical Network Compression", 2021, section 3.2), removing a set R of channels raises the mean
loss by half the mean over the samples of (the sum over R of the gradient by the channels' masks) squared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from secateur_api.results import Point, PointSource
from secateur_api.spec import Evaluation, Sensitivity, SensitivityMode
from secateur_jobs.measure.statistics import relative_drop, worsened
from secateur_jobs.paddle_env import paddle
from secateur_jobs.pruning.calibration import Calibration
from secateur_jobs.pruning.criteria import mask_gradients
from secateur_jobs.pruning.sensitivity import bounded, exact
from secateur_jobs.pruning.sensitivity.sweep import Cut, Sweep


@dataclass(frozen=True)
class Modes:
    """Measures cuts of one net on one data set."""

    net: paddle.nn.Layer
    data: paddle.io.Dataset
    evaluation: Evaluation
    settings: Sensitivity
    calibration: Calibration
    """Training samples for the mode ``fisher``, which evaluates nothing."""
    baseline: float
    """The uncut net's metric on the same share of the data."""
    comparisons: int
    """Points of all processes, whose intervals hold at once."""
    seed: int
    notes: list[str]
    """Is given what could not be done the quick way."""
    on_share: Callable[[float], None] = lambda share: None
    """Is told the share of the work that is done (0..1)."""

    def run(self, cuts: Sequence[Cut]) -> Iterator[Point]:
        """Yield the point of each of ``cuts`` (those of one group side by side) as soon as it is known.

        Equal cuts are measured once, and one that cuts nothing not at all.
        """
        twins: dict[tuple[str, bytes], list[Cut]] = {}
        for cut in cuts:
            if cut.keep.all():
                yield Point(
                    group=cut.group.name, ratio=cut.ratio, metric=self.baseline, loss=0.0, seconds=0.0
                )
            else:
                twins.setdefault((cut.group.name, cut.keep.tobytes()), []).append(cut)
        same = {(equal[0].group.name, equal[0].ratio): equal for equal in twins.values()}
        for point in self._measured([equal[0] for equal in same.values()]) if same else ():
            for cut in same[(point.group, point.ratio)]:
                yield point.model_copy(update={"ratio": cut.ratio})

    def _measured(self, cuts: Sequence[Cut]) -> Iterator[Point]:
        mode = self.settings.mode
        if mode is SensitivityMode.FISHER:
            yield from self._estimates(cuts)
            return
        sweep = Sweep(self.net)
        with sweep.open():
            yield from (
                self._raced(sweep, cuts) if mode is SensitivityMode.BOUNDED else self._exact(sweep, cuts)
            )
        self.notes.extend(sweep.notes)

    def _exact(self, sweep: Sweep, cuts: Sequence[Cut]) -> Iterator[Point]:
        fraction = self.settings.data_fraction
        for found in exact.measure(sweep, self.data, self.evaluation, fraction, cuts, self.on_share):
            yield Point(
                group=found.cut.group.name,
                ratio=found.cut.ratio,
                metric=found.value,
                loss=relative_drop(self.baseline, found.value, self.evaluation.goal) + found.drift,
                drift=found.drift,
                seconds=found.seconds,
            )

    def _raced(self, sweep: Sweep, cuts: Sequence[Cut]) -> Iterator[Point]:
        for found in bounded.race(
            sweep,
            self.data,
            self.evaluation,
            bounded.scores_of(self.evaluation),
            self.settings,
            cuts,
            baseline=self.baseline,
            comparisons=self.comparisons,
            seed=self.seed,
            on_batch=self.on_share,
        ):
            metric = worsened(self.baseline, found.loss - found.drift, self.evaluation.goal)
            beyond = found.samples == 0
            yield Point(
                group=found.cut.group.name,
                ratio=found.cut.ratio,
                metric=metric,
                loss=found.loss,
                drift=found.drift,
                seconds=found.seconds,
                low=found.low,
                high=None if beyond else found.high,
                samples=found.samples,
                source=PointSource.BEYOND if beyond else PointSource.MEASURED,
            )

    def _estimates(self, cuts: Sequence[Cut]) -> Iterator[Point]:
        goal = self.evaluation.goal
        for cut in cuts:
            begin = time.monotonic()
            loss = drop_of(rise(self.net, cut, self.calibration))
            yield Point(
                group=cut.group.name,
                ratio=cut.ratio,
                metric=worsened(self.baseline, loss, goal),
                loss=loss,
                seconds=time.monotonic() - begin,
                samples=0,
                source=PointSource.ESTIMATED,
            )


def rise(net: paddle.nn.Layer, cut: Cut, calibration: Calibration) -> float:
    """Return by how much a cut is estimated to raise the training loss, at least 0."""
    found = mask_gradients(net, cut.group, calibration.gradients)
    return 0.5 * sum(float(np.square(draws[:, ~cut.keep].sum(axis=1)).mean()) for draws in found)


def drop_of(rise_of_loss: float) -> float:
    """Return the relative drop of the metric, 0..1, that a rise of the loss stands for.

    Where the loss is a cross-entropy this is exact for the geometric mean of the probabilities that the
    model gives the right answers: it falls to ``exp(-rise)`` of what it was.
    """
    return float(-np.expm1(-rise_of_loss))
