"""From cuts to points: by the mode that the job asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from secateur_api.results import Point, PointSource
from secateur_api.spec import SensitivityMode
from secateur_jobs.measure.drop import relative_drop, worsened
from secateur_jobs.pruning.sensitivity import bounded, exact, fisher
from secateur_jobs.pruning.sensitivity.sweep import Cut, Sweep
from secateur_jobs.pruning.sensitivity.workbench import Workbench
from secateur_jobs.runtime.context import StageContext


@dataclass(frozen=True)
class Modes:
    """Measures cuts of one job's net."""

    context: StageContext
    bench: Workbench
    baseline: float
    comparisons: int
    """Points of all shards."""
    notes: list[str]
    """Is given what could not be done the quick way."""

    def run(self, cuts: Sequence[Cut]) -> Iterator[Point]:
        """Yield the point of each of ``cuts`` (those of one group side by side) as soon as it is known."""
        mode = self.context.request.spec.sensitivity.mode
        if mode is SensitivityMode.FISHER:
            yield from self._estimates(cuts)
            return
        sweep = Sweep(self.bench.net)
        with sweep.open():
            yield from (
                self._raced(sweep, cuts) if mode is SensitivityMode.BOUNDED else self._exact(sweep, cuts)
            )
        self.notes.extend(sweep.notes)

    def _exact(self, sweep: Sweep, cuts: Sequence[Cut]) -> Iterator[Point]:
        spec = self.context.request.spec
        fraction = spec.sensitivity.data_fraction
        data = self.bench.parts.choosing
        for found in exact.measure(sweep, data, spec.evaluation, fraction, cuts, self._said(len(cuts))):
            yield Point(
                group=found.cut.group.name,
                ratio=found.cut.ratio,
                metric=found.value,
                loss=relative_drop(self.baseline, found.value, spec.evaluation.goal) + found.drift,
                drift=found.drift,
                seconds=found.seconds,
            )

    def _raced(self, sweep: Sweep, cuts: Sequence[Cut]) -> Iterator[Point]:
        spec = self.context.request.spec
        for found in bounded.race(
            sweep,
            self.bench.parts.choosing,
            spec.evaluation,
            bounded.scores_of(spec.evaluation),
            spec.sensitivity,
            cuts,
            baseline=self.baseline,
            comparisons=self.comparisons,
            seed=spec.seed,
            on_batch=self._said(len(cuts)),
        ):
            metric = worsened(self.baseline, found.loss - found.drift, spec.evaluation.goal)
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
        goal = self.context.request.spec.evaluation.goal
        for cut in cuts:
            begin = time.monotonic()
            loss = fisher.relative_drop(fisher.rise(self.bench.net, cut, self.bench.calibration))
            yield Point(
                group=cut.group.name,
                ratio=cut.ratio,
                metric=worsened(self.baseline, loss, goal),
                loss=loss,
                seconds=time.monotonic() - begin,
                samples=0,
                source=PointSource.ESTIMATED,
            )

    def _said(self, total: int) -> Callable[[float], None]:
        def say(share: float) -> None:
            self.context.progress(5 + 94 * share, f"point {round(share * total)}/{total}")

        return say
